//! What wakes the daemon: classic BPF programs for the packet sockets.
//!
//! Link headers are Ethernet's 14 bytes; the kernel takes VLAN tags out of the frame beforehand.

use libc::sock_filter;

/// Offsets of what the kernel knows beside the frame (`SKF_AD_OFF`).
const ANCILLARY: u32 = 0xffff_f000;
const PACKET_TYPE: u32 = ANCILLARY + 4;
const VLAN_TAG: u32 = ANCILLARY + 44;
/// Frames to this host, broadcast and multicast are below this packet type; others' and our own are not.
const PACKET_OTHERHOST: u32 = 3;
/// Whole frames.
const ALL: u32 = 0x4_0000;

const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF_INDEXED: u16 = 0x48;
/// X = 4 * (low four bits of a byte): the length of an IPv4 header.
const LOAD_HEADER_LENGTH: u16 = 0xb1;
const AND: u16 = 0x54;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_AT_LEAST: u16 = 0x35;
const JUMP_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

const fn step(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// Whole UDP datagrams to ports 67 and 4011, and those from port 67: another server's.
pub const DHCP: [sock_filter; 19] = [
    step(LOAD_BYTE, PACKET_TYPE),
    jump(JUMP_AT_LEAST, PACKET_OTHERHOST, 15, 0),
    // A tag with number 0 carries a priority only.
    step(LOAD_WORD, VLAN_TAG),
    step(AND, 0xfff),
    jump(JUMP_EQUAL, 0, 0, 12),
    step(LOAD_HALF, 12),
    jump(JUMP_EQUAL, libc::ETH_P_IP as u32, 0, 10),
    step(LOAD_BYTE, 23),
    jump(JUMP_EQUAL, libc::IPPROTO_UDP as u32, 0, 8),
    // Neither "more fragments" nor an offset: no DHCP message of a client is so large.
    step(LOAD_HALF, 20),
    jump(JUMP_ANY_BIT, 0x3fff, 6, 0),
    step(LOAD_HEADER_LENGTH, 14),
    step(LOAD_HALF_INDEXED, 16),
    jump(JUMP_EQUAL, 67, 4, 0),
    jump(JUMP_EQUAL, 4011, 3, 0),
    step(LOAD_HALF_INDEXED, 14),
    jump(JUMP_EQUAL, 67, 1, 0),
    step(RETURN, 0),
    step(RETURN, ALL),
];

/// ARP replies.
pub const ARP: [sock_filter; 8] = [
    step(LOAD_BYTE, PACKET_TYPE),
    jump(JUMP_AT_LEAST, PACKET_OTHERHOST, 4, 0),
    step(LOAD_HALF, 12),
    jump(JUMP_EQUAL, libc::ETH_P_ARP as u32, 0, 2),
    step(LOAD_HALF, 20),
    jump(JUMP_EQUAL, 2, 1, 0),
    step(RETURN, 0),
    step(RETURN, ALL),
];

/// ICMPv6 router solicitations that have crossed no router.
pub const ROUTER_SOLICITATIONS: [sock_filter; 12] = [
    step(LOAD_BYTE, PACKET_TYPE),
    jump(JUMP_AT_LEAST, PACKET_OTHERHOST, 8, 0),
    step(LOAD_HALF, 12),
    jump(JUMP_EQUAL, libc::ETH_P_IPV6 as u32, 0, 6),
    step(LOAD_BYTE, 20),
    jump(JUMP_EQUAL, libc::IPPROTO_ICMPV6 as u32, 0, 4),
    step(LOAD_BYTE, 21),
    jump(JUMP_EQUAL, 255, 0, 2),
    step(LOAD_BYTE, 54),
    jump(JUMP_EQUAL, 133, 1, 0),
    step(RETURN, 0),
    step(RETURN, ALL),
];

/// Nothing at all: for sockets that only hold a port.
pub const NOTHING: [sock_filter; 1] = [step(RETURN, 0)];
