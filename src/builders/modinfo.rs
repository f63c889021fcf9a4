//! What a kernel module says of itself: the `.modinfo` section of its ELF file.

use object::read::elf::ElfFile64;
use object::{LittleEndian, Object as _, ObjectSection as _};

/// The largest section read. The largest of Debian's has 120 KiB, nearly all of it aliases.
const SECTION_BYTES_MAX: usize = 4 << 20;

/// The longest name, and a little more than the kernel's own limit (56 bytes with its end).
const NAME_BYTES_MAX: usize = 64;

/// What a module says of itself. Names have `_` where file names may have `-`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModInfo {
    /// The module's name.
    pub name: String,
    /// Modules that must be loaded before it.
    pub depends: Vec<String>,
    /// Modules, or aliases of some, that should be loaded before it if they exist.
    pub soft_depends: Vec<String>,
    /// Patterns of what it drives, sorted; those that hold whitespace or do not concern a PC are left out.
    pub aliases: Vec<String>,
}

/// Why a file is no module that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModInfoError {
    /// It is not ELF, or a broken one.
    #[error("not a 64-bit ELF file: {0}")]
    Elf(String),
    /// It has no such section: not a module.
    #[error("no section .modinfo")]
    NoSection,
    /// Nothing real is so large.
    #[error("section .modinfo has {0} bytes, more than {SECTION_BYTES_MAX}")]
    TooLarge(usize),
    /// Every module has a name.
    #[error("section .modinfo names no module")]
    NoName,
    /// A name that could break the index.
    #[error("{0:?} is not a module name")]
    BadName(String),
}

/// Reads a module's information from its (decompressed) file.
pub fn modinfo(bytes: &[u8]) -> Result<ModInfo, ModInfoError> {
    let elf =
        ElfFile64::<LittleEndian>::parse(bytes).map_err(|error| ModInfoError::Elf(error.to_string()))?;
    let section = elf.section_by_name_bytes(b".modinfo").ok_or(ModInfoError::NoSection)?;
    let data = section.data().map_err(|error| ModInfoError::Elf(error.to_string()))?;
    if data.len() > SECTION_BYTES_MAX {
        return Err(ModInfoError::TooLarge(data.len()));
    }
    let mut info = ModInfo::default();
    for entry in data.split(|&byte| byte == 0) {
        // Descriptions may be in any encoding; what is read here is ASCII.
        if let Some((key, value)) = std::str::from_utf8(entry).ok().and_then(|entry| entry.split_once('=')) {
            info.take(key, value)?;
        }
    }
    if info.name.is_empty() {
        return Err(ModInfoError::NoName);
    }
    info.aliases.sort_unstable();
    info.aliases.dedup();
    Ok(info)
}

impl ModInfo {
    fn take(&mut self, key: &str, value: &str) -> Result<(), ModInfoError> {
        match key {
            "name" => self.name = module_name(value)?,
            "depends" => {
                for name in value.split(',').filter(|name| !name.is_empty()) {
                    self.depends.push(module_name(name)?);
                }
            }
            "softdep" => self.soft_depends.extend(soft_depends(value)),
            "alias" if is_pc_alias(value) => self.aliases.push(value.to_owned()),
            _ => {}
        }
        Ok(())
    }
}

/// A name that is safe as a word of the index.
pub(super) fn module_name(text: &str) -> Result<String, ModInfoError> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if text.is_empty() || text.len() > NAME_BYTES_MAX || !text.bytes().all(is_word) {
        return Err(ModInfoError::BadName(text.chars().take(NAME_BYTES_MAX).collect()));
    }
    Ok(text.replace('-', "_"))
}

/// `pre: a b post: c`: only what comes before matters here.
fn soft_depends(value: &str) -> Vec<String> {
    let mut before = false;
    let mut names = Vec::new();
    for word in value.split_ascii_whitespace() {
        match word.strip_suffix(':') {
            Some(heading) => before = heading == "pre",
            None if before => names.extend(module_name(word)),
            None => {}
        }
    }
    names
}

/// Aliases that a PC's devices can have and the index can hold: the index is split at spaces, and
/// device trees (`of:`) and other machines' buses do not occur.
fn is_pc_alias(alias: &str) -> bool {
    const FOREIGN: &[&str] = &["of:", "vio:", "css:", "ccw:", "char-major-", "block-major-", "devname:"];
    alias.bytes().all(|byte| byte.is_ascii_graphic())
        && !alias.is_empty()
        && !FOREIGN.iter().any(|bus| alias.starts_with(bus))
}

/// A module file made for tests: an ELF header, `.modinfo` with these entries, and section names.
#[cfg(test)]
pub(super) fn module_file(entries: &[&str]) -> Vec<u8> {
    const NAMES: &[u8] = b"\0.modinfo\0.shstrtab\0";
    let modinfo: Vec<u8> = entries.iter().flat_map(|entry| entry.bytes().chain([0])).collect();
    let names_at = 64 + modinfo.len();
    let sections_at = (names_at + NAMES.len()).next_multiple_of(8);
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    // ET_REL for x86-64, sections only.
    for (value, size) in [(1, 2), (62, 2), (1, 4), (0, 8), (0, 8), (sections_at, 8), (0, 4), (64, 2)] {
        file.extend_from_slice(&value.to_le_bytes()[..size]);
    }
    for value in [0_u16, 0, 64, 3, 2] {
        file.extend_from_slice(&value.to_le_bytes());
    }
    file.extend_from_slice(&modinfo);
    file.extend_from_slice(NAMES);
    file.resize(sections_at, 0);
    for (name, kind, at, size) in
        [(0_u32, 0_u32, 0, 0), (1, 1, 64, modinfo.len()), (10, 3, names_at, NAMES.len())]
    {
        file.extend_from_slice(&name.to_le_bytes());
        file.extend_from_slice(&kind.to_le_bytes());
        for value in [0, 0, at, size, 0, 1, 0] {
            // Two of these are 32 bits wide and both zero, so one 64-bit zero stands for them.
            file.extend_from_slice(&(value as u64).to_le_bytes());
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_module_tells_its_name_needs_and_aliases() {
        let file = module_file(&[
            "version=1.0",
            "alias=pci:v00008086d00001502sv*sd*bc*sc*i*",
            "alias=of:N*T*Cintel,foo",
            "alias=dmi:with space",
            "alias=acpi*:IPI0001:*",
            "depends=ptp,i2c-algo-bit",
            "softdep=pre: crc32c realtek post: later",
            "name=e1000e",
            "description=caf\u{e9}",
        ]);
        let info = modinfo(&file).unwrap();
        assert_eq!(info.name, "e1000e");
        assert_eq!(info.depends, ["ptp", "i2c_algo_bit"]);
        assert_eq!(info.soft_depends, ["crc32c", "realtek"]);
        assert_eq!(info.aliases, ["acpi*:IPI0001:*", "pci:v00008086d00001502sv*sd*bc*sc*i*"]);
    }

    #[test]
    fn what_is_no_module_is_refused() {
        assert!(matches!(modinfo(b""), Err(ModInfoError::Elf(_))));
        assert!(matches!(modinfo(&[0x7f; 200]), Err(ModInfoError::Elf(_))));
        assert_eq!(modinfo(&module_file(&["depends="])), Err(ModInfoError::NoName));
        let bad = |name: &str| modinfo(&module_file(&[&format!("name={name}")]));
        assert_eq!(bad("a b"), Err(ModInfoError::BadName("a b".into())));
        assert!(bad("../x").is_err());
        assert!(bad(&"n".repeat(65)).is_err());
        let mut unnamed = module_file(&["name=x"]);
        let at = unnamed.windows(8).position(|window| window == b".modinfo").unwrap();
        unnamed[at] = b',';
        assert_eq!(modinfo(&unnamed), Err(ModInfoError::NoSection));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = modinfo(&bytes);
        }

        #[test]
        fn no_damage_panics(
            entries in prop::collection::vec("(name|depends|alias|softdep)=[ -~]{0,20}", 0..6),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
            let mut file = module_file(&entries);
            for (at, value) in damage {
                let at = at.index(file.len());
                file[at] = value;
            }
            let _ = modinfo(&file);
            file.truncate(cut.index(file.len()));
            let _ = modinfo(&file);
        }
    }
}
