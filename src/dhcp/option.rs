//! Option codes (IANA "BOOTP Vendor Extensions and DHCP Options").

/// The options that Ironwake reads or writes.
pub mod code {
    #![allow(missing_docs, reason = "the names are those of the registry")]

    pub const PAD: u8 = 0;
    pub const SUBNET_MASK: u8 = 1;
    pub const ROUTERS: u8 = 3;
    pub const DNS: u8 = 6;
    pub const HOSTNAME: u8 = 12;
    pub const DOMAIN: u8 = 15;
    pub const BROADCAST: u8 = 28;
    pub const VENDOR_SPECIFIC: u8 = 43;
    pub const REQUESTED_ADDRESS: u8 = 50;
    pub const LEASE_TIME: u8 = 51;
    pub const OVERLOAD: u8 = 52;
    pub const MESSAGE_KIND: u8 = 53;
    pub const SERVER_ID: u8 = 54;
    pub const PARAMETERS: u8 = 55;
    pub const MESSAGE: u8 = 56;
    pub const MESSAGE_SIZE_MAX: u8 = 57;
    pub const RENEWAL_TIME: u8 = 58;
    pub const REBINDING_TIME: u8 = 59;
    pub const VENDOR_CLASS: u8 = 60;
    pub const CLIENT_ID: u8 = 61;
    pub const TFTP_SERVER: u8 = 66;
    pub const BOOT_FILE: u8 = 67;
    pub const USER_CLASS: u8 = 77;
    pub const RELAY_INFORMATION: u8 = 82;
    pub const CLIENT_ARCH: u8 = 93;
    pub const CLIENT_INTERFACE: u8 = 94;
    pub const CLIENT_UUID: u8 = 97;
    /// iPXE's own options, encapsulated (Etherboot, unregistered).
    pub const IPXE: u8 = 175;
    pub const END: u8 = 255;
}
