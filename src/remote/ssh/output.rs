//! What a script wrote, as far as it is kept: without secrets, and of much its end.

use crate::profile::{Mask, Veil};

/// Output of one try that is kept, in bytes: its end, where errors stand. Some hundred lines.
pub const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// Where something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Output,
    Errors,
}

/// Both streams as they come, one behind the other.
pub(super) struct Output {
    // Each has its own: what is split on one of them may have something of the other in between.
    output: Veil,
    errors: Veil,
    bytes: Vec<u8>,
    cut: u64,
}

impl Output {
    /// Nothing yet; `mask` hides the secrets of what comes.
    pub fn new(mask: &Mask) -> Self {
        Self { output: mask.veil(), errors: mask.veil(), bytes: Vec::new(), cut: 0 }
    }

    /// Adds what came.
    pub fn push(&mut self, stream: Stream, bytes: &[u8]) {
        let veil = match stream {
            Stream::Output => &mut self.output,
            Stream::Errors => &mut self.errors,
        };
        // Secrets are masked before anything is cut: no cut goes through one.
        veil.push(bytes, &mut self.bytes);
        // In portions, so that a long output is not moved for every piece of it.
        if self.bytes.len() > 2 * OUTPUT_BYTES_MAX {
            (self.bytes, self.cut) = cut(std::mem::take(&mut self.bytes), self.cut);
        }
    }

    /// The text without what would spoil a screen, and how many bytes before it are not kept.
    pub fn text(self) -> (String, u64) {
        let Self { output, errors, mut bytes, cut: before } = self;
        output.finish(&mut bytes);
        errors.finish(&mut bytes);
        let (bytes, before) = cut(bytes, before);
        let text = String::from_utf8_lossy(&bytes);
        // The veil has dropped the others. Dropping these behind it would join what they split, a secret perhaps.
        let plain = |c: char| {
            if c.is_control() && !matches!(c, '\n' | '\t') { char::REPLACEMENT_CHARACTER } else { c }
        };
        (text.chars().map(plain).collect(), before)
    }
}

/// The end of what is kept, behind so many bytes that are not.
fn cut(mut bytes: Vec<u8>, before: u64) -> (Vec<u8>, u64) {
    let beyond = bytes.len().saturating_sub(OUTPUT_BYTES_MAX);
    bytes.drain(..beyond);
    (bytes, before + beyond as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "correct horse battery staple";

    fn output() -> Output {
        Output::new(&Mask::new([SECRET.to_owned()]))
    }

    #[test]
    fn the_end_is_kept() {
        let mut output = output();
        output.push(Stream::Output, b"a\x1b[1mb\r\n\xff");
        assert_eq!(output.text(), ("a[1mb\n\u{fffd}".to_owned(), 0));
        let mut output = self::output();
        for n in 0..OUTPUT_BYTES_MAX {
            output.push(Stream::Output, format!("{:09}\n", n).as_bytes());
        }
        let (text, cut) = output.text();
        assert_eq!((text.len(), cut as usize), (OUTPUT_BYTES_MAX, 9 * OUTPUT_BYTES_MAX));
        assert!(text.ends_with(&format!("{:09}\n", OUTPUT_BYTES_MAX - 1)));
    }

    #[test]
    fn no_part_of_a_secret_stays_wherever_the_kept_end_begins() {
        for behind in OUTPUT_BYTES_MAX - SECRET.len() - 3..OUTPUT_BYTES_MAX + 3 {
            let mut output = output();
            output.push(Stream::Output, SECRET.as_bytes());
            output.push(Stream::Output, &vec![b'.'; behind]);
            let (text, cut) = output.text();
            let marks = (OUTPUT_BYTES_MAX.saturating_sub(behind)).min(3);
            assert_eq!(text.trim_end_matches('.'), "*".repeat(marks), "{behind}");
            assert_eq!(cut as usize, (behind + 3).saturating_sub(OUTPUT_BYTES_MAX), "{behind}");
        }
    }

    #[test]
    fn no_part_of_a_secret_stays_wherever_it_is_split_and_whatever_comes_between() {
        for at in 1..SECRET.len() {
            let (head, tail) = SECRET.as_bytes().split_at(at);
            let mut output = output();
            output.push(Stream::Output, head);
            output.push(Stream::Errors, b"oops\n");
            output.push(Stream::Output, tail);
            assert_eq!(output.text().0, "oops\n***", "{at}");
        }
    }

    #[test]
    fn what_splits_a_secret_unseen_stays_within_it() {
        for control in '\u{80}'..='\u{9f}' {
            let mut output = output();
            let split = SECRET.replacen(' ', &format!(" {control}"), 1);
            output.push(Stream::Output, split.as_bytes());
            let text = output.text().0;
            assert_eq!(text, SECRET.replacen(' ', " \u{fffd}", 1), "{control:?}");
        }
    }

    #[test]
    fn the_head_of_a_secret_that_was_not_written_to_its_end_does_not_stay() {
        let mut output = output();
        output.push(Stream::Errors, &SECRET.as_bytes()[..SECRET.len() - 1]);
        assert_eq!(output.text().0, "***");
    }
}
