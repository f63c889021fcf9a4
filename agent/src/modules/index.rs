//! The index of modules in the image: one text file instead of depmod's several.
//!
//! ```text
//! module e1000e kernel/drivers/net/ethernet/intel/e1000e/e1000e.ko.xz -
//! module sd_mod kernel/drivers/scsi/sd_mod.ko.xz scsi_mod,scsi_common
//! alias pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e
//! ```

use std::collections::HashMap;

use super::pattern;

/// Modules in one image at most; Debian's whole kernel has about 4,300.
const MODULES_MAX: usize = 8192;
/// Aliases in one image at most; Debian's whole kernel has about 30,000.
const ALIASES_MAX: usize = 65_536;

/// Why an index cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// A line of another form.
    #[error(
        "module index line {line}: expected `module NAME PATH DEPS` or `alias PATTERN NAME`, found {found:?}"
    )]
    Line {
        /// Counted from 1.
        line: usize,
        /// Its beginning.
        found: String,
    },
    /// More lines than an image can have.
    #[error("module index: more than {MODULES_MAX} modules or {ALIASES_MAX} aliases")]
    TooLong,
}

/// One module of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its name, with underscores.
    pub name: String,
    /// Its file, below `/lib/modules`.
    pub path: String,
    /// The modules it needs loaded before it.
    pub needs: Vec<String>,
}

/// Which module serves which device, and what it needs.
#[derive(Debug, Clone, Default)]
pub struct Index {
    modules: Vec<Module>,
    by_name: HashMap<String, usize>,
    /// Patterns by the bus before their first colon: a machine's few hundred devices then meet
    /// only the aliases of their own bus.
    aliases: HashMap<String, Vec<(String, usize)>>,
}

impl Index {
    /// Parses the index file. An alias of a module that the image does not hold is left out.
    pub fn parse(text: &str) -> Result<Self, IndexError> {
        let mut index = Self::default();
        let mut aliases = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let mut words = line.split_ascii_whitespace();
            match (words.next(), words.next(), words.next(), words.next(), words.next()) {
                (None, ..) => {}
                (Some("module"), Some(name), Some(path), Some(needs), None) => index.add(name, path, needs),
                (Some("alias"), Some(pattern), Some(name), None, None) => aliases.push((pattern, name)),
                (Some(word), ..) if word.starts_with('#') => {}
                _ => {
                    let found = line.chars().take(60).collect();
                    return Err(IndexError::Line { line: number + 1, found });
                }
            }
            if index.modules.len() > MODULES_MAX || aliases.len() > ALIASES_MAX {
                return Err(IndexError::TooLong);
            }
        }
        for (pattern, name) in aliases {
            if let Some(&module) = index.by_name.get(&underscored(name)) {
                index.aliases.entry(bus_of(pattern)).or_default().push((pattern.to_owned(), module));
            }
        }
        Ok(index)
    }

    fn add(&mut self, name: &str, path: &str, needs: &str) {
        let name = underscored(name);
        let needs = match needs {
            "-" => Vec::new(),
            list => list.split(',').filter(|need| !need.is_empty()).map(underscored).collect(),
        };
        self.by_name.insert(name.clone(), self.modules.len());
        self.modules.push(Module { name, path: path.to_owned(), needs });
    }

    /// The names of all modules that a device with this modalias asks for.
    pub fn wanted(&self, modalias: &str) -> Vec<&str> {
        let bus = bus_of(modalias);
        // A pattern such as `acpi*:…` has its star before the colon and stands under the empty bus.
        let candidates = [bus.as_str(), ""].map(|bus| self.aliases.get(bus).map_or(&[][..], Vec::as_slice));
        let mut names = Vec::new();
        for (pattern, module) in candidates.into_iter().flatten() {
            let name = self.modules[*module].name.as_str();
            if !names.contains(&name) && pattern::matches(pattern, modalias) {
                names.push(name);
            }
        }
        names
    }

    /// A module and all it needs, each after what it needs itself. Empty if the image does not hold it;
    /// a need that the image does not hold is taken for built into the kernel.
    pub fn load_order(&self, name: &str) -> Vec<&Module> {
        let mut order = Vec::new();
        let mut seen = vec![false; self.modules.len()];
        // Depth first without recursion: the index may hold a long chain or a loop.
        let mut stack: Vec<(usize, bool)> =
            self.by_name.get(&underscored(name)).map(|&at| (at, false)).into_iter().collect();
        while let Some((at, needs_are_in)) = stack.pop() {
            if needs_are_in {
                order.push(&self.modules[at]);
                continue;
            }
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            stack.push((at, true));
            let needs = self.modules[at].needs.iter().rev();
            stack.extend(needs.filter_map(|need| self.by_name.get(need)).map(|&need| (need, false)));
        }
        order
    }

    /// How many modules the image holds.
    pub fn len(&self) -> usize {
        self.modules.len()
    }

    /// Whether the image holds no module.
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }
}

fn underscored(name: &str) -> String {
    name.replace('-', "_")
}

fn bus_of(alias: &str) -> String {
    let bus = alias.split_once(':').map_or("", |(bus, _)| bus);
    if bus.contains(['*', '?', '[']) { String::new() } else { bus.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INDEX: &str = "\
# a comment
module scsi_common kernel/scsi_common.ko.xz -
module scsi_mod kernel/scsi_mod.ko.xz scsi_common
module libata kernel/libata.ko.xz scsi_mod,scsi_common
module libahci kernel/libahci.ko.xz libata,scsi_mod
module ahci kernel/ahci.ko.xz libahci,libata,scsi_mod
module virtio-net kernel/virtio_net.ko.xz net_failover,not_here
module net_failover kernel/net_failover.ko.xz virtio_net
module ipmi_si kernel/ipmi_si.ko.xz -

alias pci:v*d*sv*sd*bc01sc06i01* ahci
alias virtio:d00000001v* virtio_net
alias acpi*:IPI0001:* ipmi_si
alias pci:v00001234d* absent
";

    #[test]
    fn devices_ask_for_modules() {
        let index = Index::parse(INDEX).expect("a good index");
        assert_eq!(index.len(), 8);
        assert_eq!(index.wanted("pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01"), ["ahci"]);
        assert_eq!(index.wanted("virtio:d00000001v00001AF4"), ["virtio_net"]);
        assert_eq!(index.wanted("acpi:IPI0001:"), ["ipmi_si"]);
        assert_eq!(index.wanted("pci:v00001234d00001111sv00001AF4sd00001100bc03sc00i00"), [""; 0]);
        assert_eq!(index.wanted(""), [""; 0]);
    }

    fn order(name: &str) -> Vec<String> {
        let index = Index::parse(INDEX).expect("a good index");
        index.load_order(name).iter().map(|module| module.name.clone()).collect()
    }

    #[test]
    fn needs_come_first_and_loops_end() {
        assert_eq!(order("ahci"), ["scsi_common", "scsi_mod", "libata", "libahci", "ahci"]);
        assert_eq!(order("virtio-net"), ["net_failover", "virtio_net"]);
        assert_eq!(order("nonsense"), [""; 0]);
    }

    #[test]
    fn a_wrong_line_is_named() {
        let error = Index::parse("module a b -\nalias x\n").expect_err("a short line");
        assert_eq!(error, IndexError::Line { line: 2, found: "alias x".into() });
    }

    proptest! {
        #[test]
        fn any_text_is_an_index_or_an_error(text in "(module|alias|#| |\n|-|,|[a-c]|\\*|:){0,120}", query in ".{0,20}") {
            if let Ok(index) = Index::parse(&text) {
                index.wanted(&query);
                for name in ["a", "b", "c", "ab", "-"] {
                    prop_assert!(index.load_order(name).len() <= index.len());
                }
            }
        }
    }
}
