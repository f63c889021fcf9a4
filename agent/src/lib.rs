//! The agent of Ironwake's discovery image: `/init`, drivers, network, inventory, orders.
//!
//! Parsers are public so that tests and fuzzers reach them; `main.rs` starts either the first process or the work.

pub mod backoff;
pub mod cmdline;
pub mod inventory;
pub mod lldp;
pub mod modules;
pub mod dhcp;
pub mod nic_control;
