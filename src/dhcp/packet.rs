//! The wire form of a DHCP message: RFC 2131 section 2, options of RFC 2132, overload (option 52)
//! and long options in pieces (RFC 3396). It accepts everything that can arrive; what is legal is
//! the matter of [`Request`](super::Request).

use std::borrow::Cow;
use std::net::Ipv4Addr;

use super::code;

/// `op` of a message from a client.
pub const BOOT_REQUEST: u8 = 1;
/// `op` of a message from a server.
pub const BOOT_REPLY: u8 = 2;
/// The only defined bit of `flags`: the client cannot take unicast before it has an address.
pub const FLAG_BROADCAST: u16 = 0x8000;

const HEADER_BYTES: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// BOOTP's fixed size; some relays and old firmware drop anything shorter (RFC 1542 section 2.1).
const MESSAGE_BYTES_MIN: usize = 300;
const OPTION_BYTES_MAX: usize = 255;

/// Why bytes are not a DHCP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Shorter than header and cookie.
    #[error("{0} bytes are too few for a DHCP message")]
    Short(usize),
    /// The magic cookie of RFC 2131 is missing: plain BOOTP, or no DHCP at all.
    #[error("the options do not begin with the magic cookie")]
    NoCookie,
    /// An option runs over the end of its field.
    #[error("option {0} runs over the end of its field")]
    OptionTruncated(u8),
}

/// A DHCP message with its options in order, each once and whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet<'a> {
    /// [`BOOT_REQUEST`] or [`BOOT_REPLY`].
    pub op: u8,
    /// Hardware type; 1 is Ethernet.
    pub htype: u8,
    /// Bytes of `chaddr` in use; may be more than 16 in a hostile packet.
    pub hlen: u8,
    /// Relays passed.
    pub hops: u8,
    /// Transaction.
    pub xid: u32,
    /// Seconds since the client began.
    pub secs: u16,
    /// See [`FLAG_BROADCAST`].
    pub flags: u16,
    /// The client's address, if it has one.
    pub ciaddr: Ipv4Addr,
    /// The address given to the client.
    pub yiaddr: Ipv4Addr,
    /// Next server.
    pub siaddr: Ipv4Addr,
    /// First relay.
    pub giaddr: Ipv4Addr,
    /// Hardware address.
    pub chaddr: [u8; 16],
    /// Server name; zeros when option 52 put options there.
    pub sname: [u8; 64],
    /// Boot file; zeros when option 52 put options there.
    pub file: [u8; 128],
    /// The options.
    pub options: Options<'a>,
}

impl<'a> Packet<'a> {
    /// An empty message.
    pub fn new(op: u8, xid: u32) -> Self {
        let none = Ipv4Addr::UNSPECIFIED;
        Self {
            op,
            htype: 1,
            hlen: 6,
            hops: 0,
            xid,
            secs: 0,
            flags: 0,
            ciaddr: none,
            yiaddr: none,
            siaddr: none,
            giaddr: none,
            chaddr: [0; 16],
            sname: [0; 64],
            file: [0; 128],
            options: Options::default(),
        }
    }

    /// Reads a message. Option values borrow from `bytes` unless they came in pieces.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, PacketError> {
        if bytes.len() < HEADER_BYTES + COOKIE.len() {
            return Err(PacketError::Short(bytes.len()));
        }
        let (header, rest) = bytes.split_at(HEADER_BYTES);
        let Some(field) = rest.strip_prefix(&COOKIE) else { return Err(PacketError::NoCookie) };
        let mut packet = Self::new(header[0], u32::from_be_bytes(array(header, 4)));
        packet.htype = header[1];
        packet.hlen = header[2];
        packet.hops = header[3];
        packet.secs = u16::from_be_bytes(array(header, 8));
        packet.flags = u16::from_be_bytes(array(header, 10));
        packet.ciaddr = array::<4>(header, 12).into();
        packet.yiaddr = array::<4>(header, 16).into();
        packet.siaddr = array::<4>(header, 20).into();
        packet.giaddr = array::<4>(header, 24).into();
        packet.chaddr = array(header, 28);

        let mut pieces = Pieces::default();
        pieces.read(field)?;
        // Only the options field itself may announce an overload; RFC 3396 section 5 sets the order.
        let overload =
            pieces.options.get(code::OVERLOAD).and_then(|value| value.first().copied()).unwrap_or(0);
        if overload & 1 != 0 {
            pieces.read(&header[108..236])?;
        } else {
            packet.file = array(header, 108);
        }
        if overload & 2 != 0 {
            pieces.read(&header[44..108])?;
        } else {
            packet.sname = array(header, 44);
        }
        packet.options = pieces.options;
        Ok(packet)
    }

    /// The message as bytes, at least as long as BOOTP demands.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_bytes());
        out.extend_from_slice(&[self.op, self.htype, self.hlen, self.hops]);
        out.extend_from_slice(&self.xid.to_be_bytes());
        out.extend_from_slice(&self.secs.to_be_bytes());
        out.extend_from_slice(&self.flags.to_be_bytes());
        for address in [self.ciaddr, self.yiaddr, self.siaddr, self.giaddr] {
            out.extend_from_slice(&address.octets());
        }
        out.extend_from_slice(&self.chaddr);
        out.extend_from_slice(&self.sname);
        out.extend_from_slice(&self.file);
        out.extend_from_slice(&COOKIE);
        for (code, value) in self.options.iter() {
            let mut rest = value;
            loop {
                let (piece, after) = rest.split_at(rest.len().min(OPTION_BYTES_MAX));
                out.extend_from_slice(&[code, piece.len() as u8]);
                out.extend_from_slice(piece);
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
        }
        out.push(code::END);
        out.resize(out.len().max(MESSAGE_BYTES_MIN), 0);
        out
    }

    /// How many bytes [`encode`](Self::encode) yields.
    pub fn encoded_bytes(&self) -> usize {
        let options: usize = self
            .options
            .iter()
            .map(|(_, value)| value.len() + 2 * value.len().div_ceil(OPTION_BYTES_MAX).max(1))
            .sum();
        (HEADER_BYTES + COOKIE.len() + options + 1).max(MESSAGE_BYTES_MIN)
    }

    /// The header's boot file up to its first NUL.
    pub fn file_name(&self) -> &[u8] {
        until_nul(&self.file)
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

/// `bytes` up to the first NUL.
pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Options in the order of their first appearance, pieces joined (RFC 3396).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options<'a>(Vec<(u8, Cow<'a, [u8]>)>);

impl<'a> Options<'a> {
    /// The value of an option.
    pub fn get(&self, code: u8) -> Option<&[u8]> {
        self.0.iter().find(|(at, _)| *at == code).map(|(_, value)| value.as_ref())
    }

    /// The value of an option that is one address.
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        <[u8; 4]>::try_from(self.get(code)?).ok().map(Ipv4Addr::from)
    }

    /// The value of an option of two bytes.
    pub fn u16(&self, code: u8) -> Option<u16> {
        self.get(code)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// The value of an option of four bytes.
    pub fn u32(&self, code: u8) -> Option<u32> {
        self.get(code)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// Appends an option; one that is there already is replaced in its place.
    pub fn set(&mut self, code: u8, value: impl Into<Cow<'a, [u8]>>) {
        debug_assert!(code != code::PAD && code != code::END, "pad and end carry no value");
        let value = value.into();
        match self.0.iter_mut().find(|(at, _)| *at == code) {
            Some(there) => there.1 = value,
            None => self.0.push((code, value)),
        }
    }

    /// Takes an option out.
    pub fn remove(&mut self, code: u8) -> bool {
        let before = self.0.len();
        self.0.retain(|(at, _)| *at != code);
        before != self.0.len()
    }

    /// Every option in order.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.0.iter().map(|(code, value)| (*code, value.as_ref()))
    }
}

/// Joins the pieces of options while the fields are read. The index keeps a packet full of tiny
/// options from costing the square of their number.
struct Pieces<'a> {
    options: Options<'a>,
    /// Position plus one by code; zero for options not seen.
    index: [u16; 256],
}

impl Default for Pieces<'_> {
    fn default() -> Self {
        Self { options: Options(Vec::with_capacity(24)), index: [0; 256] }
    }
}

impl<'a> Pieces<'a> {
    fn read(&mut self, mut field: &'a [u8]) -> Result<(), PacketError> {
        while let Some((&code, rest)) = field.split_first() {
            match code {
                code::PAD => field = rest,
                code::END => break,
                _ => {
                    let truncated = PacketError::OptionTruncated(code);
                    let (&bytes, rest) = rest.split_first().ok_or(truncated)?;
                    let (value, rest) = rest.split_at_checked(usize::from(bytes)).ok_or(truncated)?;
                    self.add(code, value);
                    field = rest;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, code: u8, value: &'a [u8]) {
        let known = &mut self.index[usize::from(code)];
        match self.options.0.get_mut(usize::from(*known).wrapping_sub(1)) {
            Some((_, whole)) => whole.to_mut().extend_from_slice(value),
            None => {
                self.options.0.push((code, Cow::Borrowed(value)));
                *known = self.options.0.len() as u16;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[0] = BOOT_REQUEST;
        bytes.extend_from_slice(&COOKIE);
        bytes.extend_from_slice(options);
        bytes
    }

    fn check(options: &[u8], expected: Result<&[(u8, &[u8])], PacketError>) {
        let bytes = message(options);
        let found = Packet::decode(&bytes);
        let found = found.as_ref().map(|packet| packet.options.iter().collect::<Vec<_>>());
        assert_eq!(found.as_deref().map_err(|error| **error), expected, "{options:?}");
    }

    #[test]
    fn options_are_read_and_what_runs_over_is_refused() {
        check(&[], Ok(&[]));
        check(&[53, 1, 1, 255], Ok(&[(53, &[1])]));
        check(&[0, 0, 53, 1, 1], Ok(&[(53, &[1])]));
        check(&[53, 1, 1, 255, 54, 9], Ok(&[(53, &[1])]));
        check(&[53, 2, 1], Err(PacketError::OptionTruncated(53)));
        check(&[53], Err(PacketError::OptionTruncated(53)));
        check(&[77, 1, b'a', 53, 1, 1, 77, 1, b'b', 255], Ok(&[(77, b"ab"), (53, &[1])]));
    }

    #[test]
    fn too_little_and_foreign_bytes_are_named() {
        assert_eq!(Packet::decode(&[]), Err(PacketError::Short(0)));
        assert_eq!(Packet::decode(&[1; 300]), Err(PacketError::NoCookie));
    }

    #[test]
    fn overload_reads_file_then_sname_and_hides_both() {
        let mut bytes = message(&[52, 1, 3, 12, 1, b'a', 255]);
        bytes[108..112].copy_from_slice(&[12, 1, b'b', 255]);
        bytes[44..48].copy_from_slice(&[12, 1, b'c', 255]);
        let packet = Packet::decode(&bytes).unwrap();
        assert_eq!(packet.options.get(12), Some(&b"abc"[..]));
        assert_eq!((packet.file, packet.sname), ([0; 128], [0; 64]));
    }

    #[test]
    fn long_options_go_out_in_pieces_and_come_back_whole() {
        let mut packet = Packet::new(BOOT_REPLY, 7);
        packet.options.set(67, vec![b'x'; 600]);
        packet.options.set(60, &b""[..]);
        let bytes = packet.encode();
        assert_eq!(bytes.len(), packet.encoded_bytes());
        assert_eq!(Packet::decode(&bytes).unwrap(), packet);
    }
}
