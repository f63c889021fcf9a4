//! The agent of Ironwake's discovery image: `/init`, drivers, network, inventory, orders.
//!
//! Parsers are public so that tests and fuzzers reach them; `main.rs` starts either the first process or
//! the work.

pub mod backoff;
pub mod chance;
pub mod cmdline;
pub mod idle;
pub mod lldp;
pub mod summary;
pub mod dhcp;
pub mod nic_control;
pub mod inventory;
pub mod modules;
pub mod uevent;
pub mod screen;
pub mod power;
pub mod server;
pub mod upgrade;
pub mod drivers;
pub mod network;
pub mod work;
pub mod worker;
pub mod supervisor;
