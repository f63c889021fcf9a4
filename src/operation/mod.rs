//! Operations: their states, what may happen in each, their deadlines, and which disks they may write.
//!
//! Everything here is a function of values: [`apply`] takes an operation and what happened, and gives the
//! operation as it is then and what there is to do. The caller saves first, then does it; everything that is to be
//! done may be done twice.

mod apply;
mod deadline;
mod disks;
mod host;
mod record;
mod seal;
mod token;
mod table;

pub use apply::{Draft, Effect, Illegal, Step, Trigger, apply, register};
pub use deadline::{ARMED_FOR, ARMED_FOR_MAX, ARMED_FOR_MIN, Deadlines};
pub(crate) use disks::bytes as size_bytes;
pub use disks::{DiskRule, DiskRuleError, Unresolved, resolve};
pub use host::{HostRecord, News};
pub use record::{BootSources, HISTORY_MAX, Loaded, Login, Rebuild, Record, Seen, Taker};
pub use seal::NONCE_BYTES;
pub use table::{Happening, next};
pub use token::{Purpose, SiteKey};

#[cfg(test)]
pub(crate) mod tests;
