//! Drivers: which module a device asks for, and loading it.

mod index;
mod loader;
mod pattern;

pub use index::{Index, IndexError, Module};
pub use loader::{Loader, Round};
pub use pattern::matches;
