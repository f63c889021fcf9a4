//! Secrets in what a program writes: each is `***` in what is kept, however it was cut on its way.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::HIDDEN;

/// A shorter text cannot be masked: the output would be full of marks, which would tell what they stand for. So a shorter
/// secret is refused, and only short lines of a longer one stay as they are. Fewer bytes of one that an output ends with tell
/// nothing, and most outputs end with such by chance.
pub const MASKED_BYTES_MIN: usize = 4;

/// The secrets that are masked.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Mask(Arc<[Vec<u8>]>);

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({} secrets)", self.0.len())
    }
}

/// Whether a byte is kept of an output; the others would spoil a screen, and could split a secret unseen.
fn is_plain(byte: u8) -> bool {
    !byte.is_ascii_control() || matches!(byte, b'\n' | b'\t')
}

/// Whether a secret is long enough to be masked. One that is empty says that there is none.
pub(super) fn can_be_masked(secret: &str) -> bool {
    let bytes = secret.bytes().filter(|byte| is_plain(*byte)).count();
    bytes == 0 || bytes >= MASKED_BYTES_MIN
}

impl Mask {
    /// Masks these, but for what is too short.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let plain = |secret: String| secret.into_bytes().into_iter().filter(|byte| is_plain(*byte)).collect();
        let mut secrets: Vec<Vec<u8>> = secrets.into_iter().map(plain).collect();
        secrets.retain(|secret| secret.len() >= MASKED_BYTES_MIN);
        secrets.sort();
        secrets.dedup();
        Self(secrets.into())
    }

    /// What masks one stream of bytes.
    pub fn veil(&self) -> Veil {
        Veil { mask: self.clone(), waiting: Vec::new(), covered: 0 }
    }

    /// Where secrets stand, in order of their beginnings.
    fn find(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for secret in self.0.iter() {
            let parts = bytes.windows(secret.len()).enumerate().filter(|(_, part)| *part == &secret[..]);
            found.extend(parts.map(|(at, part)| at..at + part.len()));
        }
        found.sort_by_key(|range| range.start);
        found
    }

    /// How many of the last bytes may be the beginning of a secret.
    fn begun(&self, bytes: &[u8]) -> usize {
        let begun = |secret: &Vec<u8>| {
            let longest = (secret.len() - 1).min(bytes.len());
            (1..=longest).rev().find(|count| bytes.ends_with(&secret[..*count])).unwrap_or_default()
        };
        self.0.iter().map(begun).max().unwrap_or_default()
    }
}

/// Masks one stream. What may be the beginning of a secret waits for what comes behind it.
pub struct Veil {
    mask: Mask,
    waiting: Vec<u8>,
    /// So many of the first bytes that wait belong to a secret whose mark was given out.
    covered: usize,
}

impl Veil {
    /// Takes what comes next, and hands on what may be shown.
    pub fn push(&mut self, bytes: &[u8], shown: &mut Vec<u8>) {
        self.waiting.extend(bytes.iter().filter(|byte| is_plain(**byte)));
        let ready = self.waiting.len() - self.mask.begun(&self.waiting);
        self.show(ready, shown);
    }

    /// Hands on the rest. An output that ends within a secret has the mark of it.
    pub fn finish(mut self, shown: &mut Vec<u8>) {
        let begun = self.mask.begun(&self.waiting);
        self.show(self.waiting.len() - begun, shown);
        match self.waiting.len() - self.covered {
            0 => {}
            _ if begun >= MASKED_BYTES_MIN => {
                if self.covered == 0 {
                    shown.extend_from_slice(HIDDEN.as_bytes());
                }
            }
            _ => shown.extend_from_slice(&self.waiting[self.covered..]),
        }
    }

    /// Hands on the first `ready` bytes that wait.
    fn show(&mut self, ready: usize, shown: &mut Vec<u8>) {
        // Up to here everything was given out, as itself or as the mark of what it belongs to.
        let mut at = self.covered;
        // What begins behind that may lie within a longer secret, which begins there too.
        for secret in self.mask.find(&self.waiting).into_iter().take_while(|secret| secret.start < ready) {
            // What overlaps the secret before it is hidden by the same mark.
            if secret.start >= at {
                shown.extend_from_slice(&self.waiting[at..secret.start]);
                shown.extend_from_slice(HIDDEN.as_bytes());
            }
            at = at.max(secret.end);
        }
        if at < ready {
            shown.extend_from_slice(&self.waiting[at..ready]);
        }
        self.waiting.drain(..ready);
        self.covered = at.saturating_sub(ready);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mask(secrets: &[&str]) -> Mask {
        Mask::new(secrets.iter().map(|secret| (*secret).to_owned()))
    }

    fn shown<'b>(mask: &Mask, pieces: impl IntoIterator<Item = &'b [u8]>) -> String {
        let (mut veil, mut shown) = (mask.veil(), Vec::new());
        pieces.into_iter().for_each(|piece| veil.push(piece, &mut shown));
        veil.finish(&mut shown);
        String::from_utf8(shown).expect("text")
    }

    /// Whole, and cut into two at every place, and byte by byte.
    #[track_caller]
    fn check(secrets: &[&str], text: &str, expected: &str) {
        let mask = mask(secrets);
        assert_eq!(shown(&mask, [text.as_bytes()]), expected);
        for at in 0..text.len() {
            let (first, second) = text.as_bytes().split_at(at);
            assert_eq!(shown(&mask, [first, second]), expected, "cut at {at}");
        }
        assert_eq!(shown(&mask, text.as_bytes().chunks(1)), expected, "byte by byte");
    }

    #[test]
    fn a_secret_is_masked_wherever_it_is_cut() {
        check(&["hunter2"], "the password is hunter2, yes", "the password is ***, yes");
        check(&["hunter2"], "hunter2", "***");
        check(&["hunter2"], "hunthunter2hunter", "hunt******");
        check(&["hunter2"], "hunter3 and hunt\n", "hunter3 and hunt\n");
        check(&["hunter2", "ter2xyz"], "a hunter2xyz b", "a *** b");
        check(&["hunter2", "unte"], "hunter2 unter", "*** ***r");
        check(&["hunter2", "unter"], "hunter", "***");
        check(&["aaaa"], "baaaaaab", "b***b");
        check(&["abcabc"], "abcabcabcabd", "***abd");
        check(&["hunter2"], "hun\x1b\rter2\n", "***\n");
        check(&["two\r\nlines"], "two\nlines", "***");
        check(&["abc"], "abc", "abc");
    }

    #[test]
    fn an_output_that_ends_within_a_secret_shows_nothing_of_it() {
        check(&["hunter2"], "it is hunter", "it is ***");
        check(&["hunter2"], "it is hunt", "it is ***");
        check(&["hunter2"], "it is hun", "it is hun");
        check(&["hunter2", "ter2xyz"], "hunter2xy", "***");
    }

    #[test]
    fn a_mask_shows_itself_nowhere() {
        assert_eq!(format!("{:?}", mask(&["hunter2"])), "Mask(1 secrets)");
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(text in "[ab]{0,40}", cuts in proptest::collection::vec(0_usize..40, 0..6)) {
            let mask = mask(&["abab", "bbaab", "aaaaaa"]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.push(text.len());
            cuts.sort_unstable();
            let mut from = 0;
            let pieces: Vec<&[u8]> = cuts
                .iter()
                .map(|cut| &text.as_bytes()[std::mem::replace(&mut from, *cut)..*cut])
                .collect();
            let whole = shown(&mask, [text.as_bytes()]);
            prop_assert_eq!(shown(&mask, pieces), whole.clone());
            for secret in ["abab", "bbaab", "aaaaaa"] {
                prop_assert!(!whole.contains(secret), "{} in {}", secret, whole);
            }
        }
    }
}
