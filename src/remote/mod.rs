//! Clients of other systems: what they are asked and told, never when.
//!
//! HTTP to others is reqwest's, with names, proxies, redirects and whom the host trusts; the client of the operators' API
//! (`ironwake_api::client`) is hyper's alone, for it asks one daemon on a Unix socket or by the authority that it was given, hands
//! its connection to shells, and keeps all of that out of the programs that only ask.

pub mod http;
pub mod push;
mod reach;
pub mod ssh;
