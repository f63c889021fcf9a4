//! Reading sysfs and procfs below any root: small files, bounded, nothing that fails loudly.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// One attribute: the kernel gives at most a page.
const ATTRIBUTE_BYTES_MAX: u64 = 4096;
/// Longest text that is kept of an attribute.
const TEXT_CHARS_MAX: usize = 256;
/// Entries of one folder at most: the busiest, PCI, has some hundreds on a large server.
const ENTRIES_MAX: usize = 4096;

/// A file's first bytes, `limit` at most.
pub fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An attribute's text, trimmed and without control characters; `None` if missing or empty.
pub fn text(path: &Path) -> Option<String> {
    clean(&read_limited(path, ATTRIBUTE_BYTES_MAX).ok()?)
}

/// An attribute's number, decimal or `0x…`.
pub fn number(path: &Path) -> Option<u64> {
    let text = text(path)?;
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// An attribute that is `0` or `1`.
pub fn flag(path: &Path) -> Option<bool> {
    number(path).map(|number| number != 0)
}

/// The entries of a folder with their names, sorted by name with numbers in order (`sda` before `sdaa`,
/// `eth2` before `eth10`).
pub fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .take(ENTRIES_MAX)
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect();
    found.sort_by_key(|(name, _)| (name.len(), name.clone()));
    found
}

/// The last part of what a link such as `driver` points to.
pub fn link_name(path: &Path) -> Option<String> {
    Some(fs::read_link(path).ok()?.file_name()?.to_string_lossy().into_owned())
}

/// Bytes from firmware or a device as text: trimmed, control characters blanked, `None` if nothing is left.
pub fn clean(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let text: String = String::from_utf8_lossy(&bytes[..end])
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(TEXT_CHARS_MAX)
        .collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |name: &str, bytes: &[u8]| {
            let path = root.path().join(name);
            fs::write(&path, bytes).expect("an attribute");
            path
        };
        assert_eq!(text(&write("a", b"  text\x01here \n")).as_deref(), Some("text here"));
        assert_eq!(text(&write("b", b"\n")), None);
        assert_eq!(number(&write("c", b"0x1af4\n")), Some(0x1af4));
        assert_eq!(number(&write("d", b"-1\n")), None);
        assert_eq!(flag(&write("e", b"1\n")), Some(true));
        assert_eq!(text(&root.path().join("none")), None);
        let names: Vec<String> = entries(root.path()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b", "c", "d", "e"]);
    }
}
