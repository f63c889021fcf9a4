//! Options of a request, and which of them the server accepts.

use std::time::Duration;

/// Data bytes in a block where nothing else was agreed (RFC 1350).
pub const BLOCK_BYTES_DEFAULT: u16 = 512;
/// The smallest block size (RFC 2348).
pub const BLOCK_BYTES_MIN: u16 = 8;
/// The largest block size (RFC 2348).
pub const BLOCK_BYTES_MAX: u16 = 65464;
/// The largest window that is granted: 64 blocks of 1468 bytes are 92 KiB in flight, which fills a
/// gigabit link at any latency of a LAN, and is as much as one segmented send may carry.
pub const WINDOW_BLOCKS_MAX: u16 = 64;

/// The longest wait that is granted: a client that asks for more and falls silent would keep its place for minutes.
const TIMEOUT_SECS_MAX: u8 = 30;

/// How long the first wait for an acknowledgement is where the client did not choose.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(1);

/// The options of a request or of an option acknowledgement, by RFC 2348, 2349 and 7440. Unknown
/// options and values outside their range are absent: RFC 2347 answers them by silence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// `blksize`: data bytes in a block.
    pub blksize: Option<u16>,
    /// `tsize`: the file's size; 0 in a read request.
    pub tsize: Option<u64>,
    /// `timeout` in seconds.
    pub timeout_secs: Option<u8>,
    /// `windowsize`: blocks for each acknowledgement.
    pub windowsize: Option<u16>,
}

impl Options {
    /// Takes one option as it stands on the wire. The first of several with one name counts.
    pub(super) fn take(&mut self, name: &str, value: &str) {
        if name.eq_ignore_ascii_case("blksize") {
            let blksize = value.parse().ok().filter(|bytes: &u64| *bytes >= u64::from(BLOCK_BYTES_MIN));
            let bounded = blksize.map(|bytes| bytes.min(u64::from(BLOCK_BYTES_MAX)) as u16);
            self.blksize = self.blksize.or(bounded);
        } else if name.eq_ignore_ascii_case("tsize") {
            self.tsize = self.tsize.or(value.parse().ok());
        } else if name.eq_ignore_ascii_case("timeout") {
            self.timeout_secs = self.timeout_secs.or(value.parse().ok().filter(|secs| *secs >= 1));
        } else if name.eq_ignore_ascii_case("windowsize") {
            self.windowsize = self.windowsize.or(value.parse().ok().filter(|blocks| *blocks >= 1));
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Name and value of each option that is there, in the order in which they are written.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("blksize", self.blksize.map(u64::from)),
            ("tsize", self.tsize),
            ("timeout", self.timeout_secs.map(u64::from)),
            ("windowsize", self.windowsize.map(u64::from)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }

    /// What the server grants: only what was asked, never more than was asked, blocks of at most
    /// `block_bytes_max` so that none is fragmented on the client's link.
    pub fn accept(&self, size: u64, block_bytes_max: u16) -> Accepted {
        let block_bytes_max = block_bytes_max.clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX);
        Accepted {
            answer: Self {
                blksize: self.blksize.map(|bytes| bytes.min(block_bytes_max)),
                tsize: self.tsize.map(|_| size),
                timeout_secs: self.timeout_secs.filter(|secs| *secs <= TIMEOUT_SECS_MAX),
                windowsize: self.windowsize.map(|blocks| blocks.min(WINDOW_BLOCKS_MAX)),
            },
            size,
        }
    }
}

/// The terms of one transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// What the option acknowledgement says; empty means that none is sent.
    pub answer: Options,
    /// Bytes of the file.
    pub size: u64,
}

impl Accepted {
    /// Data bytes in each block but the last.
    pub fn block_bytes(&self) -> u16 {
        self.answer.blksize.unwrap_or(BLOCK_BYTES_DEFAULT)
    }

    /// Blocks that are sent for each acknowledgement.
    pub fn window_blocks(&self) -> u16 {
        self.answer.windowsize.unwrap_or(1)
    }

    /// The first wait for an acknowledgement.
    pub fn timeout(&self) -> Duration {
        self.answer.timeout_secs.map_or(TIMEOUT_DEFAULT, |secs| Duration::from_secs(secs.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks with `asked` for a file of 1000 bytes on a link of 1500, and writes what is granted.
    fn check(asked: &[(&str, &str)], granted: &str) {
        let mut options = Options::default();
        asked.iter().for_each(|(name, value)| options.take(name, value));
        let answer = options.accept(1000, 1468).answer;
        let text: Vec<String> = answer.pairs().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(text.join(" "), granted, "{asked:?}");
    }

    #[test]
    fn real_clients_get_what_they_ask_and_nothing_else() {
        check(
            &[("tsize", "0"), ("blksize", "1468"), ("windowsize", "4")],
            "blksize=1468 tsize=1000 windowsize=4",
        );
        check(&[("blksize", "1432"), ("tsize", "0")], "blksize=1432 tsize=1000");
        check(&[("BLKSIZE", "512"), ("WindowSize", "4")], "blksize=512 windowsize=4");
        check(&[("timeout", "3")], "timeout=3");
        check(&[], "");
    }

    #[test]
    fn more_than_the_link_or_the_server_bears_is_cut() {
        check(&[("blksize", "65464"), ("windowsize", "65535")], "blksize=1468 windowsize=64");
        check(&[("blksize", "99999999")], "blksize=1468");
    }

    #[test]
    fn values_outside_their_range_are_not_acknowledged() {
        check(&[("blksize", "7")], "");
        check(&[("blksize", "many"), ("windowsize", "0"), ("windowsize", "-1")], "");
        check(&[("timeout", "0"), ("timeout", "256"), ("multicast", "")], "");
        check(&[("blksize", "600"), ("blksize", "700")], "blksize=600");
    }
}
