//! Keyboards that the console may have: those whose files are on this host.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where systemd looks for keymaps (vconsole.conf(5), localectl(1)).
const FOLDERS: &[&str] = &["usr/share/keymaps", "usr/share/kbd/keymaps", "usr/lib/kbd/keymaps"];
/// X11's list of layouts, which Debian sets its console up by.
const LAYOUTS: &str = "usr/share/X11/xkb/rules/base.lst";
/// Ends of a keymap's file.
const ENDINGS: &[&str] = &[".map", ".map.gz", ".map.xz", ".map.zst"];
/// Folders within folders: architecture, kind of keyboard, and one to spare.
const DEPTH_MAX: usize = 4;
/// Names that are listed; kbd has some 300.
const NAMES_MAX: usize = 4096;

/// Whose names they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyboardKind {
    /// Keymaps of the console (package console-data, or kbd elsewhere).
    Console,
    /// Layouts of X11, by which Debian's console-setup sets the console up too.
    X11,
}

/// Names of keyboards below a root, sorted, and whose they are; empty where the host has none. Reads folders: may block.
pub fn keyboards(root: &Path) -> (KeyboardKind, Vec<String>) {
    let mut names = BTreeSet::new();
    for folder in FOLDERS {
        gather(&root.join(folder), DEPTH_MAX, &mut names);
    }
    if !names.is_empty() {
        return (KeyboardKind::Console, names.into_iter().collect());
    }
    let text = fs::read_to_string(root.join(LAYOUTS)).unwrap_or_default();
    names.extend(layouts(&text).take(NAMES_MAX).map(str::to_owned));
    (KeyboardKind::X11, names.into_iter().collect())
}

fn gather(folder: &Path, depth: usize, names: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if names.len() >= NAMES_MAX {
            return;
        }
        let path: PathBuf = entry.path();
        // A link could lead round in a circle.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // What other files include is no keyboard.
            if depth > 0 && entry.file_name() != "include" {
                gather(&path, depth - 1, names);
            }
            continue;
        }
        let file = entry.file_name();
        let file = file.to_string_lossy();
        names.extend(ENDINGS.iter().find_map(|ending| file.strip_suffix(ending)).map(str::to_owned));
    }
}

/// First words of the section `! layout`.
fn layouts(text: &str) -> impl Iterator<Item = &str> {
    let section = text.lines().skip_while(|line| line.trim() != "! layout").skip(1);
    section.take_while(|line| !line.starts_with('!')).filter_map(|line| line.split_whitespace().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyboards_are_those_that_have_a_file() {
        let root = tempfile::tempdir().expect("a folder");
        assert_eq!(keyboards(root.path()).1, [""; 0]);
        let rules = root.path().join("usr/share/X11/xkb/rules");
        fs::create_dir_all(&rules).expect("made");
        let list = "! model\n  pc105 Generic\n\n! layout\n  us  English (US)\n  at  German (Austria)\n\n! variant\n  nodeadkeys de: x\n";
        fs::write(rules.join("base.lst"), list).expect("written");
        assert_eq!(keyboards(root.path()), (KeyboardKind::X11, vec!["at".into(), "us".into()]));
        let folder = root.path().join("usr/share/kbd/keymaps/i386");
        for (name, file) in [("qwertz", "de-latin1.map.gz"), ("include", "vim.map.gz"), ("qwerty", "us.map")]
        {
            fs::create_dir_all(folder.join(name)).expect("made");
            fs::write(folder.join(name).join(file), "").expect("written");
        }
        fs::write(folder.join("qwerty/readme.txt"), "").expect("written");
        assert_eq!(keyboards(root.path()), (KeyboardKind::Console, vec!["de-latin1".into(), "us".into()]));
    }
}
