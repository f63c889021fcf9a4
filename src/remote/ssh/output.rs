//! What a script wrote, as far as it is kept.

/// Output of one try that is kept, in bytes: its end, where errors stand. Some hundred lines.
pub const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// The end of an output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    bytes: Vec<u8>,
    cut: u64,
}

impl Output {
    /// Adds what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        // In portions, so that a long output is not moved for every piece of it.
        if self.bytes.len() > 2 * OUTPUT_BYTES_MAX {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let cut = self.bytes.len().saturating_sub(OUTPUT_BYTES_MAX);
        self.bytes.drain(..cut);
        self.cut += cut as u64;
    }

    /// The text without what would spoil a screen, and how many bytes before it are not kept.
    pub fn text(mut self) -> (String, u64) {
        self.cut();
        let text = String::from_utf8_lossy(&self.bytes);
        let plain = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
        (text.chars().filter(plain).collect(), self.cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept() {
        let mut output = Output::default();
        output.push(b"a\x1b[1mb\r\n\xff");
        assert_eq!(output.text(), ("a[1mb\n\u{fffd}".to_owned(), 0));
        let mut output = Output::default();
        for n in 0..OUTPUT_BYTES_MAX {
            output.push(format!("{:09}\n", n).as_bytes());
        }
        let (text, cut) = output.text();
        assert_eq!((text.len(), cut as usize), (OUTPUT_BYTES_MAX, 9 * OUTPUT_BYTES_MAX));
        assert!(text.ends_with(&format!("{:09}\n", OUTPUT_BYTES_MAX - 1)));
    }
}
