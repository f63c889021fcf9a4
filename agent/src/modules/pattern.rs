//! Alias patterns as depmod writes them: `*`, `?`, `[abc]`, `[a-f]`, `[!a]`.

/// Whether a device's modalias fits a module's alias pattern. A dash and an underscore are the same outside
/// brackets, as for modprobe. An unclosed bracket matches nothing.
pub fn matches(pattern: &str, modalias: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), modalias.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Only the last star needs to be tried again: an earlier one can absorb no more than it.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        match one(&pattern[p.min(pattern.len())..], text[t]) {
            Some(length) => (p, t) = (p + length, t + 1),
            None => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    (p, t) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p.min(pattern.len())..].iter().all(|&byte| byte == b'*')
}

/// The length of the pattern's first item if it matches this byte.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => bracket(pattern, byte),
        literal => (fold(literal) == fold(byte)).then_some(1),
    }
}

fn bracket(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let first = if negated { 2 } else { 1 };
    // A `]` right after the opening is a member, not the end.
    let end = (first + 1..pattern.len()).find(|&at| pattern[at] == b']')?;
    let members = &pattern[first..end];
    let mut at = 0;
    let mut found = false;
    while at < members.len() {
        if at + 2 < members.len() && members[at + 1] == b'-' {
            found |= (members[at]..=members[at + 2]).contains(&byte);
            at += 3;
        } else {
            found |= members[at] == byte;
            at += 1;
        }
    }
    (found != negated).then_some(end + 1)
}

fn fold(byte: u8) -> u8 {
    if byte == b'-' { b'_' } else { byte }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(pattern: &str, modalias: &str, expected: bool) {
        assert_eq!(matches(pattern, modalias), expected, "{pattern} against {modalias}");
    }

    #[test]
    fn devices_find_their_modules() {
        let e1000e = "pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00";
        check("pci:v00008086d000010D3sv*sd*bc*sc*i*", e1000e, true);
        check("pci:v00008086d000010D4sv*sd*bc*sc*i*", e1000e, false);
        check("pci:v*d*sv*sd*bc01sc06i01*", "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01", true);
        check("virtio:d00000001v*", "virtio:d00000001v00001AF4", true);
        check(
            "usb:v*p*d*dc*dsc*dp*ic08isc06ip50in*",
            "usb:v46F4p0001d0000dc00dsc00dp00ic08isc06ip50in00",
            true,
        );
        check("usb:v0BDAp8152d30[0-9]*dc*", "usb:v0BDAp8152d3000dc00dsc00", true);
        check("usb:v0BDAp8152d30[1-9]*dc*", "usb:v0BDAp8152d3000dc00dsc00", false);
        check("acpi*:IPI0001:*", "acpi:IPI0001:PNP0C01:", true);
        check("scsi:t-0x00*", "scsi:t-0x00", true);
        check("platform:dmi_ipmi_si", "platform:dmi-ipmi-si", true);
    }

    #[test]
    fn wildcards_follow_depmod() {
        check("", "", true);
        check("*", "", true);
        check("**", "a", true);
        check("?", "", false);
        check("a?c", "abc", true);
        check("a*b*c", "aXbYbZc", true);
        check("a*b", "aXbc", false);
        check("[abc]", "b", true);
        check("[!abc]", "b", false);
        check("[^abc]", "d", true);
        check("[]a]", "]", true);
        check("[ab", "a", false);
        check("x[a-]", "x-", true);
        check("abc", "ab", false);
        check("ab", "abc", false);
    }

    proptest! {
        #[test]
        fn any_text_is_answered(pattern in "[a-c*?\\[\\]!-]{0,24}", text in "[a-c-]{0,24}") {
            let _ = matches(&pattern, &text);
        }

        #[test]
        fn a_text_without_wildcards_matches_itself(text in "[a-zA-Z0-9:_-]{0,40}") {
            prop_assert!(matches(&text, &text));
            let starred = format!("*{text}*");
            prop_assert!(matches(&starred, &text));
        }
    }
}
