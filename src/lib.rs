//! Ironwake: a boot appliance in one daemon.
//!
//! Modules stand in dependency order: each may use only those above it. `tests/tidy.rs` holds that
//! order, and that the pure ones stay free of I/O, clocks and randomness.

// Pure: packets, values and time go in, values come out.
pub mod document;
pub mod machine;
pub mod access;
pub mod artifact;
pub mod appliance;
pub mod operation;
pub mod profile;
pub mod boot;
pub mod script;
pub mod recorder;
pub mod dhcp;
pub mod tftp;

// Edges: may do I/O, may not decide.
pub mod private;
pub mod authorized;
pub mod sticks;
pub mod config;
pub mod systemd;
pub mod vitals;
pub mod certificates;
pub mod store;
pub mod updates;
pub mod remote;
pub mod artifacts;
pub mod backup;
pub mod builders;
pub mod catalog;
pub mod disk_install;
pub mod site;
pub mod serve;
pub mod http;
pub mod daemon;
pub mod cli;
