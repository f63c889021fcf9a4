//! Names and tags that an operator may give.

/// Why a name or tag is refused: what is wrong and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(String);

/// RFC 1035 section 2.3.4: a name without its dots' lengths fits 253 octets, a label 63.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
/// Tags are for lists and filters; longer ones fit no column.
pub const TAG_BYTES_MAX: usize = 64;

/// Checks a host name (RFC 1123 section 2.1) and gives it in lower case.
pub fn check_name(name: &str) -> Result<String, NameError> {
    let wrong = |why: &str| Err(NameError(format!("{name:?} is not a host name: {why}")));
    if name.is_empty() {
        return wrong("it is empty");
    }
    if name.len() > NAME_BYTES_MAX {
        return wrong("it is longer than 253 characters");
    }
    for label in name.split('.') {
        if label.is_empty() || label.len() > LABEL_BYTES_MAX {
            return wrong("each label has 1 to 63 characters");
        }
        if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return wrong("letters, digits, '-' and '.' are allowed");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return wrong("a label neither begins nor ends with '-'");
        }
    }
    if name.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return wrong("it has no letter and looks like an address");
    }
    Ok(name.to_ascii_lowercase())
}

/// Checks a tag: letters, digits and `-_.:/=`, at most 64.
pub fn check_tag(tag: &str) -> Result<(), NameError> {
    let fits = !tag.is_empty()
        && tag.len() <= TAG_BYTES_MAX
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/=".contains(&b));
    if fits {
        return Ok(());
    }
    Err(NameError(format!("{tag:?} is not a tag: 1 to {TAG_BYTES_MAX} letters, digits and - _ . : / =")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_follow_rfc_1123() {
        let check = |name: &str, fits: bool| assert_eq!(check_name(name).is_ok(), fits, "{name:?}");
        check("node-01", true);
        check("Node-01.rack.example", true);
        check("3com", true);
        check("", false);
        check("-a", false);
        check("a-", false);
        check("a..b", false);
        check("a_b", false);
        check("10.0.0.1", false);
        check("ü", false);
        check(&"a".repeat(64), false);
        check(&vec!["a".repeat(60); 5].join("."), false);
        assert_eq!(check_name("Node-01").unwrap(), "node-01");
    }
}
