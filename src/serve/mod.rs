//! What machines talk to: raw DHCP, TFTP, and HTTP files and boot scripts. Feeds the cores, sends the replies.

mod boot_site;
pub mod dhcp;
pub mod http;
pub mod router;
pub mod tftp;

pub use boot_site::{Backend, BootSite, Files};
