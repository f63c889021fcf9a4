//! Other hosts, as their client: commands over SSH, what is sent over HTTP. When they are called is decided elsewhere.

pub mod http;
pub mod ssh;
