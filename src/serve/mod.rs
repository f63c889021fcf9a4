//! What machines talk to: raw DHCP, TFTP, and HTTP files and boot scripts. Feeds the cores, sends the replies.

pub mod dhcp;
pub mod http;
pub mod links;
pub mod router;
pub mod tftp;

use crate::artifacts::Shelf;
use crate::site::SharedSite;

/// Where TFTP and HTTP get their answers from; clones share it.
#[derive(Clone)]
pub struct Backend {
    /// The published artifacts.
    pub files: Shelf,
    /// The site.
    pub site: SharedSite,
}
