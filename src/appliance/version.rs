//! Versions of the appliance: which are legal, and which of two is newer.
//!
//! They are compared as systemd compares them (the UAPI group's version format specification), because systemd-boot and
//! systemd-sysupdate decide by that order, and the daemon must not disagree with what then boots.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Longest version: with `ironwake_` before it, it has to fit into the 36 characters of a partition's name.
pub const VERSION_CHARS_MAX: usize = 27;

/// The version of an appliance, such as `0.2.0`. systemd-sysupdate takes no `~` and no `^`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(String);

/// Text that is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no version: expected 1 to {VERSION_CHARS_MAX} letters, digits, `.` and `-`, beginning with a digit or a letter"
)]
pub struct BadVersion(String);

impl Version {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Version {
    type Err = BadVersion;

    fn from_str(text: &str) -> Result<Self, BadVersion> {
        // `+` begins a boot counter and `_` the version in names of files; neither is in a version.
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let begins = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
        match begins && text.len() <= VERSION_CHARS_MAX && text.chars().all(legal) {
            true => Ok(Self(text.to_owned())),
            false => Err(BadVersion(text.chars().take(2 * VERSION_CHARS_MAX).collect())),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

/// Which of two versions is newer.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        a = skip_other(a);
        b = skip_other(b);
        // What stands behind a tilde comes before the end.
        match (a.first() == Some(&b'~'), b.first() == Some(&b'~')) {
            (true, true) => {
                (a, b) = (&a[1..], &b[1..]);
                continue;
            }
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        if a.is_empty() || b.is_empty() {
            return a.len().min(1).cmp(&b.len().min(1));
        }
        // One that ends its part earlier is older: `1` before `1-1`, `1-1` before `1^1`, `1^1` before `1.1`.
        let mut separated = false;
        for separator in *b"-^." {
            match (a.first() == Some(&separator), b.first() == Some(&separator)) {
                (true, true) => {
                    (a, b) = (&a[1..], &b[1..]);
                    separated = true;
                    break;
                }
                (true, false) => return Ordering::Less,
                (false, true) => return Ordering::Greater,
                (false, false) => {}
            }
        }
        if separated {
            continue;
        }
        let numeric = a[0].is_ascii_digit() || b[0].is_ascii_digit();
        let is_part = |byte: &u8| if numeric { byte.is_ascii_digit() } else { byte.is_ascii_alphabetic() };
        let (part_a, rest_a) = a.split_at(a.iter().take_while(|byte| is_part(byte)).count());
        let (part_b, rest_b) = b.split_at(b.iter().take_while(|byte| is_part(byte)).count());
        let order = match numeric {
            // A number is newer than none; leading zeros count nothing.
            true => {
                let (digits_a, digits_b) = (significant(part_a), significant(part_b));
                (!part_a.is_empty())
                    .cmp(&!part_b.is_empty())
                    .then(digits_a.len().cmp(&digits_b.len()))
                    .then_with(|| digits_a.cmp(digits_b))
            }
            false => part_a.cmp(part_b),
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

fn skip_other(text: &[u8]) -> &[u8] {
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'~' | b'-' | b'^' | b'.');
    &text[text.iter().take_while(|byte| !known(byte)).count()..]
}

fn significant(digits: &[u8]) -> &[u8] {
    &digits[digits.iter().take_while(|digit| **digit == b'0').count()..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_stand_in_systemds_order() {
        // The specification's own list, each older than the next.
        let ordered = [
            "~1",
            "",
            "ab",
            "abb",
            "abc",
            "0001",
            "002",
            "12",
            "122",
            "122.9",
            "123~rc1",
            "123",
            "123-a",
            "123-a.1",
            "123-a1",
            "123-a1.1",
            "123-3",
            "123-3.1",
            "123^patch1",
            "123^1",
            "123.a-1",
            "123.1-1",
            "123a-1",
            "124",
        ];
        for (index, older) in ordered.iter().enumerate() {
            assert_eq!(compare(older, older), Ordering::Equal, "{older}");
            for newer in &ordered[index + 1..] {
                assert_eq!(compare(older, newer), Ordering::Less, "{older} {newer}");
                assert_eq!(compare(newer, older), Ordering::Greater, "{newer} {older}");
            }
        }
        assert_eq!(compare("1.02", "1.2"), Ordering::Equal);
        assert_eq!(compare("0.1.0", "0.2.0~rc1"), Ordering::Less);
    }

    #[test]
    fn what_would_break_a_name_is_no_version() {
        for good in ["0.1.0", "0.2.0-rc1", "2026.11-1"] {
            assert!(good.parse::<Version>().is_ok(), "{good}");
        }
        for bad in
            ["", "0.2.0~rc1", "1^git5", "1+3", "1_2", "../1", "-1", ".1", "1 2", "1\n", "ü", &"1".repeat(28)]
        {
            assert!(bad.parse::<Version>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_two_texts_have_an_order(a in "[0-9a-c.~^+-]{0,8}", b in "[0-9a-c.~^+-]{0,8}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
        }
    }
}
