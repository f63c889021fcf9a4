//! Machines with the appliance's image, and what tests do with them.

#![allow(dead_code, reason = "each test binary uses its part")]

pub mod bundle;
pub mod cuts;
pub mod esp;
pub mod image;
pub mod kernel;
pub mod left;
pub mod line;
pub mod machine;
pub mod qmp;
pub mod report;
pub mod screen;
