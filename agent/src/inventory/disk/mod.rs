//! Disks: what the kernel knows of them, and what lies on them.

mod contents;
mod filesystem;
mod table;
mod sys;

pub use contents::{Contents, Medium, read as read_contents};
pub use filesystem::{Found, probe};
pub use sys::{list, read};
pub use table::{Entry, Table, find as find_table};
pub(crate) use table::{Gpt, crc32, dos_entries, is_extended, number, read_gpt};
