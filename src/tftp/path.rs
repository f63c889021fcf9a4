//! Names of files as netboot clients spell them, made into the one spelling that is published.

use thiserror::Error;

/// The longest path that is looked up. Every published name is far shorter; DHCP carries 127 bytes.
pub const PATH_BYTES_MAX: usize = 512;

/// Why a path cannot name a published file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PathError {
    /// Nothing is left of it.
    #[error("the path is empty")]
    Empty,
    /// Longer than [`PATH_BYTES_MAX`].
    #[error("the path has {0} bytes, at most {PATH_BYTES_MAX} are served")]
    TooLong(usize),
    /// A step upwards.
    #[error("the path contains \"..\"")]
    Parent,
    /// A NUL or another control character.
    #[error("the path contains a control character")]
    Control,
}

/// The published spelling of `path`: `\` is `/`, empty and `.` segments are dropped, `..` is refused.
///
/// Windows-minded firmware writes backslashes, most PXE ROMs a leading slash, GRUB a doubled one.
pub fn clean_path(path: &str) -> Result<String, PathError> {
    if path.len() > PATH_BYTES_MAX {
        return Err(PathError::TooLong(path.len()));
    }
    if path.chars().any(char::is_control) {
        return Err(PathError::Control);
    }
    let mut cleaned = String::with_capacity(path.len());
    for segment in path.split(['/', '\\']) {
        match segment {
            "" | "." => continue,
            ".." => return Err(PathError::Parent),
            _ => {}
        }
        if !cleaned.is_empty() {
            cleaned.push('/');
        }
        cleaned.push_str(segment);
    }
    if cleaned.is_empty() { Err(PathError::Empty) } else { Ok(cleaned) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(path: &str, expected: Result<&str, PathError>) {
        assert_eq!(clean_path(path), expected.map(str::to_owned), "{path:?}");
    }

    #[test]
    fn every_spelling_of_a_client_names_one_file() {
        check("snponly.efi", Ok("snponly.efi"));
        check("/grub/grub.cfg", Ok("grub/grub.cfg"));
        check("//grub//x86_64-efi///grub.cfg", Ok("grub/x86_64-efi/grub.cfg"));
        check(r"\boot\x64\wdsnbp.com", Ok("boot/x64/wdsnbp.com"));
        check("./a/./b", Ok("a/b"));
        check("a..b/...", Ok("a..b/..."));
    }

    #[test]
    fn what_could_leave_the_published_tree_is_refused() {
        check("../etc/passwd", Err(PathError::Parent));
        check(r"a\..\..\b", Err(PathError::Parent));
        check("a/..", Err(PathError::Parent));
        check("a\0b", Err(PathError::Control));
        check("a\nb", Err(PathError::Control));
        check("", Err(PathError::Empty));
        check("///", Err(PathError::Empty));
        check(&"a".repeat(513), Err(PathError::TooLong(513)));
    }

    proptest! {
        #[test]
        fn cleaning_is_idempotent_and_never_climbs(path in r"[a./\\]{0,40}") {
            if let Ok(cleaned) = clean_path(&path) {
                prop_assert!(!cleaned.starts_with('/') && !cleaned.contains("//") && !cleaned.contains('\\'));
                prop_assert!(cleaned.split('/').all(|segment| segment != ".."));
                prop_assert_eq!(clean_path(&cleaned), Ok(cleaned.clone()));
            }
        }
    }
}
