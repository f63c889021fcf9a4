//! Other hosts, as their client: commands over SSH. When they are called is decided elsewhere.

pub mod ssh;
