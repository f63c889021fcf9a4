//! What turns recipes into artifacts: one file for each kind, and what they are made with.

mod cpio;
pub mod debian_image;
mod discovery;
mod drivers;
mod modinfo;
mod modules;

pub use debian_image::{Child, ChildError};
pub use discovery::{BuildError, BuiltDiscovery, Progress, agent_path, discovery};
pub use drivers::DRIVERS;
pub use modinfo::{ModInfo, ModInfoError, modinfo};
pub use modules::{Chosen, ModuleError, ModuleTree};
