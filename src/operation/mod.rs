//! Operations: their states, what may happen in each, their deadlines, and which disks they may write.
//!
//! Everything here is a function of values: [`apply`] takes an operation and what happened, and gives the
//! operation as it is then and what there is to do. The caller saves first, then does it; everything that is to be
//! done may be done twice.

mod apply;
mod deadline;
mod disks;
mod table;

pub use apply::{Draft, Effect, Illegal, Step, Trigger, apply, register};
pub use deadline::{ARMED_FOR, Deadlines};
pub use disks::{DiskRule, DiskRuleError, Unresolved, resolve};
pub(crate) use disks::bytes as size_bytes;
pub use table::{Happening, next};

#[cfg(test)]
mod tests;
