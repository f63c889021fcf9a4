//! TFTP packets as they stand on the wire (RFC 1350 §5, RFC 2347).

use std::borrow::Cow;

use thiserror::Error;

use super::Options;

/// The longest request that is read. RFC 2347 ends it at 512; a long path with every option may pass that.
pub const REQUEST_BYTES_MAX: usize = 1024;

/// Options that are looked at in one request; the known ones are four.
const OPTIONS_MAX: usize = 16;
/// The longest text put into an ERROR packet, so that it fits the buffers of small firmware.
const ERROR_TEXT_BYTES_MAX: usize = 400;

const READ: u16 = 1;
const WRITE: u16 = 2;
const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OACK: u16 = 6;

/// Error codes of RFC 1350 and 2347.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum ErrorCode {
    /// See the text.
    Undefined = 0,
    /// There is no such file.
    NotFound = 1,
    /// Not allowed: writes, paths that climb.
    AccessViolation = 2,
    /// Not a packet that belongs here.
    IllegalOperation = 4,
    /// A packet for a transfer that does not exist.
    UnknownTransfer = 5,
    /// The client does not want these options; clients also end a size query with it.
    OptionsRefused = 8,
}

/// How a file is written on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Bytes as they are.
    Octet,
    /// Text with CR LF; not served, since boot files are bytes.
    Netascii,
}

/// A read or write request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// The file as the client spells it.
    pub file: &'a str,
    /// Mode.
    pub mode: Mode,
    /// Options that are known and within their range.
    pub options: Options,
}

/// Any packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// RRQ.
    Read(Request<'a>),
    /// WRQ.
    Write(Request<'a>),
    /// DATA.
    Data {
        /// Block number, modulo 65536.
        block: u16,
        /// The block.
        data: &'a [u8],
    },
    /// ACK of a block, modulo 65536.
    Ack(u16),
    /// ERROR.
    Error {
        /// One of [`ErrorCode`], or anything.
        code: u16,
        /// For people.
        message: Cow<'a, str>,
    },
    /// OACK.
    Oack(Options),
}

/// Why bytes are not a TFTP packet.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PacketError {
    /// It ends too early.
    #[error("the packet is cut short")]
    Short,
    /// No such operation.
    #[error("operation {0} is not one of TFTP's")]
    Operation(u16),
    /// A name that is not UTF-8.
    #[error("the {0} is not UTF-8")]
    Text(&'static str),
    /// A mode that RFC 1350 does not have, or `mail`.
    #[error("mode {0:?} is neither octet nor netascii")]
    Mode(String),
    /// Longer than [`REQUEST_BYTES_MAX`].
    #[error("the request has {0} bytes, at most {REQUEST_BYTES_MAX} are read")]
    Long(usize),
}

impl<'a> Packet<'a> {
    /// Reads a packet.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let (operation, rest) = word(bytes)?;
        match operation {
            READ => Ok(Self::Read(Request::parse(rest)?)),
            WRITE => Ok(Self::Write(Request::parse(rest)?)),
            DATA => word(rest).map(|(block, data)| Self::Data { block, data }),
            ACK => word(rest).map(|(block, _)| Self::Ack(block)),
            ERROR => {
                let (code, text) = word(rest)?;
                // Some firmware leaves out the terminating NUL.
                let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
                Ok(Self::Error { code, message: String::from_utf8_lossy(text) })
            }
            OACK => Ok(Self::Oack(parse_options(rest))),
            other => Err(PacketError::Operation(other)),
        }
    }

    /// Writes a packet.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        match self {
            Self::Read(request) => request.encode(READ, &mut out),
            Self::Write(request) => request.encode(WRITE, &mut out),
            Self::Data { block, data } => {
                out.extend_from_slice(&data_header(*block));
                out.extend_from_slice(data);
            }
            Self::Ack(block) => put_words(ACK, *block, &mut out),
            Self::Error { code, message } => {
                put_words(ERROR, *code, &mut out);
                let cut = message.floor_char_boundary(ERROR_TEXT_BYTES_MAX);
                out.extend(message.as_bytes()[..cut].iter().filter(|byte| **byte != 0));
                out.push(0);
            }
            Self::Oack(options) => {
                out.extend_from_slice(&OACK.to_be_bytes());
                encode_options(options, &mut out);
            }
        }
        out
    }

    /// An ERROR packet with one of the codes of the RFCs.
    pub fn error(code: ErrorCode, message: impl Into<Cow<'a, str>>) -> Self {
        Self::Error { code: code as u16, message: message.into() }
    }
}

impl<'a> Request<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, PacketError> {
        if bytes.len() + 2 > REQUEST_BYTES_MAX {
            return Err(PacketError::Long(bytes.len() + 2));
        }
        let (file, rest) = string(bytes).ok_or(PacketError::Short)?;
        let (mode, rest) = string(rest).ok_or(PacketError::Short)?;
        let file = str::from_utf8(file).map_err(|_| PacketError::Text("file name"))?;
        let mode = match str::from_utf8(mode).map_err(|_| PacketError::Text("mode"))? {
            mode if mode.eq_ignore_ascii_case("octet") => Mode::Octet,
            mode if mode.eq_ignore_ascii_case("netascii") => Mode::Netascii,
            mode => return Err(PacketError::Mode(mode.chars().take(20).collect())),
        };
        Ok(Self { file, mode, options: parse_options(rest) })
    }

    fn encode(&self, operation: u16, out: &mut Vec<u8>) {
        out.extend_from_slice(&operation.to_be_bytes());
        out.extend_from_slice(self.file.as_bytes());
        out.extend_from_slice(match self.mode {
            Mode::Octet => b"\0octet\0",
            Mode::Netascii => b"\0netascii\0",
        });
        encode_options(&self.options, out);
    }
}

/// The four bytes before the data of a block.
pub fn data_header(block: u16) -> [u8; 4] {
    let [high, low] = block.to_be_bytes();
    [0, DATA as u8, high, low]
}

fn put_words(operation: u16, number: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&operation.to_be_bytes());
    out.extend_from_slice(&number.to_be_bytes());
}

fn word(bytes: &[u8]) -> Result<(u16, &[u8]), PacketError> {
    match bytes {
        [high, low, rest @ ..] => Ok((u16::from_be_bytes([*high, *low]), rest)),
        _ => Err(PacketError::Short),
    }
}

/// A string up to its NUL, and what follows.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// Every whole pair; a cut last one is left out, as an option that is not known is.
fn parse_options(mut bytes: &[u8]) -> Options {
    let mut options = Options::default();
    for _ in 0..OPTIONS_MAX {
        let Some((name, rest)) = string(bytes) else { break };
        let Some((value, rest)) = string(rest) else { break };
        bytes = rest;
        if let (Ok(name), Ok(value)) = (str::from_utf8(name), str::from_utf8(value)) {
            options.take(name, value);
        }
    }
    options
}

fn encode_options(options: &Options, out: &mut Vec<u8>) {
    for (name, value) in options.pairs() {
        out.extend_from_slice(name.as_bytes());
        out.push(0);
        out.extend_from_slice(value.to_string().as_bytes());
        out.push(0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(bytes: &[u8], expected: Result<Packet<'_>, PacketError>) {
        assert_eq!(Packet::parse(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
    }

    #[test]
    fn requests_of_real_firmware_are_read() {
        let options =
            Options { blksize: Some(1468), tsize: Some(0), windowsize: Some(4), timeout_secs: None };
        check(
            b"\0\x01sid/snponly.efi\0octet\0tsize\x000\0blksize\x001468\0windowsize\x004\0",
            Ok(Packet::Read(Request { file: "sid/snponly.efi", mode: Mode::Octet, options })),
        );
        let options = Options { blksize: Some(512), ..Options::default() };
        check(
            b"\0\x01\\x\0OCTET\0BLKSIZE\x00512\0",
            Ok(Packet::Read(Request { file: "\\x", mode: Mode::Octet, options })),
        );
        check(
            b"\0\x02up\0NetASCII\0",
            Ok(Packet::Write(Request { file: "up", mode: Mode::Netascii, options: Options::default() })),
        );
        check(
            b"\0\x05\0\x08User aborted the transfer",
            Ok(Packet::error(ErrorCode::OptionsRefused, "User aborted the transfer")),
        );
    }

    #[test]
    fn broken_packets_are_refused_with_a_reason() {
        check(b"", Err(PacketError::Short));
        check(b"\0", Err(PacketError::Short));
        check(b"\0\x01file", Err(PacketError::Short));
        check(b"\0\x01file\0octet", Err(PacketError::Short));
        check(b"\0\x04\0", Err(PacketError::Short));
        check(b"\0\x09\0\0", Err(PacketError::Operation(9)));
        check(b"\0\x01a\0mail\0", Err(PacketError::Mode("mail".into())));
        check(b"\0\x01\xff\0octet\0", Err(PacketError::Text("file name")));
        let long = [b"\0\x01".as_slice(), &[b'a'; 1100], b"\0octet\0"].concat();
        check(&long, Err(PacketError::Long(long.len())));
    }

    #[test]
    fn messages_that_the_tftp_crate_writes_are_read_and_ours_are_read_by_it() {
        for (packet, expected) in [
            (Packet::Ack(7), "Ack"),
            (Packet::Data { block: 9, data: b"abc" }, "Data"),
            (Packet::error(ErrorCode::NotFound, "no such file"), "Error"),
        ] {
            let bytes = packet.encode();
            let theirs = tftp::Message::try_from(bytes.as_slice());
            let Ok(theirs) = theirs else { panic!("{expected} is not read by the crate") };
            let again: Vec<u8> = theirs.into();
            assert_eq!(Packet::parse(&again), Ok(packet));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic_and_what_is_written_is_read_again(
            bytes in prop::collection::vec(any::<u8>(), 0..600), operation in 0..8u8,
        ) {
            let bytes = [&[0, operation], bytes.as_slice()].concat();
            if let Ok(packet) = Packet::parse(&bytes) {
                let written = packet.encode();
                if let Packet::Error { .. } = packet { return Ok(()) }
                prop_assert_eq!(Packet::parse(&written), Ok(packet));
            }
        }

        #[test]
        fn requests_come_back_as_they_were(
            file in "[a-z/.\\\\]{0,80}", blksize in prop::option::of(8..=65464u16),
            tsize in any::<Option<u64>>(), timeout_secs in prop::option::of(1..=255u8),
            windowsize in prop::option::of(1..=65535u16),
        ) {
            let options = Options { blksize, tsize, timeout_secs, windowsize };
            let packet = Packet::Read(Request { file: &file, mode: Mode::Octet, options });
            let written = packet.encode();
            prop_assert_eq!(Packet::parse(&written), Ok(packet));
        }
    }
}
