//! SMBIOS: the firmware's own account of the machine, which may be empty, truncated or lies.

mod facts;
mod table;

pub use facts::{Facts, Processor, read};
pub use table::{Structure, Structures, Version};

#[cfg(test)]
pub(crate) use facts::tests as tests_support;
