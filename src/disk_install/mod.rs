//! The appliance on another disk: which disks there are, and installing on one of them, as root and outside of the daemon.
//!
//! `ironwake-disks.service` reads the disks ([`facts`]), `ironwake-install.service` does what the daemon ordered ([`order`],
//! [`run`]), `ironwake-unattended.service` what a file on a stick says ([`unattended`]). What the daemon says is not trusted: the
//! disk is read again, and the agent's wipe guard alone makes what can be opened for writing.
//!
//! Everything that may fail without the disk is done before it is touched. Its partition table is written last, and the boot
//! sector behind that: a disk on which this broke off has no table, so no firmware starts it, and nothing takes it for an appliance.

mod boot_code;
mod esp;
mod facts;
mod layout;
mod order;
mod perform;
mod progress;
mod reset;
mod source;
mod state;
mod unattended;

#[cfg(test)]
mod tests;

pub use facts::{BYTES_MIN, digest, read as read_disks, write as write_disks};
pub use order::{FACTS, Order, STATE, load_facts, load_state, order_path, run_folder};
pub use perform::{Host, InstallError, run};
pub use reset::{ResetError, mark as mark_for_reset};
pub use source::is_appliance;
pub use unattended::{Unattended, UnattendedError, run as run_unattended};
