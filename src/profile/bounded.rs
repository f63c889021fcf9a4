//! What a template writes, as far as a file may be long.

use std::io;

/// Largest rendered file: cloud-init takes 16 KiB on some platforms, and the longest kickstarts have some 100 KiB.
pub(super) const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// Bytes up to the limit of a file.
#[derive(Default)]
pub(super) struct Bounded {
    pub bytes: Vec<u8>,
    /// Whether something did not fit.
    pub full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > OUTPUT_BYTES_MAX {
            self.full = true;
            return Err(io::Error::other("too large"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
