//! Clients of other systems: what they are asked and told, never when.

pub mod http;
pub mod push;
mod reach;
pub mod ssh;
