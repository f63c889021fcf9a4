//! The lab: a network of namespaces, bridges and taps, the real daemon in it, and QEMU machines that
//! boot from it.
//!
//! ```text
//! namespace "site":   br0 10.77.0.1 ── daemon, taps of machines
//!     │ veth
//! namespace "peer":   10.77.0.2  another DHCP server, clients, ...
//! namespace "relay":  between br0 and a second bridge, whose machines come through a DHCP relay
//! ```
//!
//! Everything carries the name of its lab (`iwlab-<pid>.<start>-<number>`), and is removed when the lab is
//! dropped, when a signal ends the program, and, if that was SIGKILL, when the next lab starts.

// Each program that includes the lab uses a part of it.
#![allow(dead_code, unused_imports)]

mod error;
mod cleanup;
mod names;
mod process;
mod net;
mod http;
mod events;
mod disk;
pub mod writes;
mod firmware;
mod machine;
mod peers;
mod mirror;
mod daemon;
mod site;
mod report;
mod milestones;
pub mod rebuild;
mod work;

pub use daemon::{Cli, Daemon, Dhcp};
pub use disk::{Bus, Disk, MARKER, Quirk};
pub use error::LabError;
pub use events::{EventLog, event_line, stage_line};
pub use firmware::Firmware;
pub use http::{Response, request};
pub use machine::{Identity, Machine, Nic, NicModel};
pub use milestones::table as milestones_table;
pub use mirror::Mirror;
pub use names::LabName;
pub use net::{Bridge, Namespace};
pub use peers::{Dnsmasq, Relay};
pub use process::{Piped, Process, run};
pub use report::since;
pub use site::{Lab, LabOptions, PoweredOn, WAIT_MAX};
pub use work::{
    MIB, add_marker, add_profile, boots_its_disk, digest, enroll, image, operation, reaches, tool,
};
pub use writes::Writes;
