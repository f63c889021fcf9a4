//! The appliance's own system: what may be asked of it, checked before anything is done.

mod address;
pub mod bundle;
mod grubenv;
mod patch;
mod pending;
mod server;
mod setup;
mod timeline;
mod url;
mod version;

pub use address::{Address, Leased, Surroundings, check_address, file_name, network_file};
pub use grubenv::{BadGrubenv, GRUBENV_BYTES, Grubenv, TRIES};
pub use patch::{Step, check_patch};
pub use pending::Pending;
pub use server::{AddressOrigin, check_server};
pub use setup::{PlannedSetup, check_setup, suggested_beside, suggested_range};
pub use timeline::{JUMP_MIN, Jump, Known, Timeline};
pub use url::url;
pub use version::{BadVersion, VERSION_CHARS_MAX, Version, compare};
