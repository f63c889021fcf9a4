//! What machines talk to: raw DHCP, TFTP, and HTTP files and boot scripts. Feeds the cores, sends the replies.

pub mod dhcp;
pub mod http;
pub mod tftp;
