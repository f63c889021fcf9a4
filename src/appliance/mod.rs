//! The appliance's own system: what may be asked of it, checked before anything is done.

mod address;
mod patch;
mod pending;
mod server;
mod setup;
mod timeline;
mod url;

pub use address::{Address, Leased, Surroundings, check_address, file_name, network_file};
pub use patch::{Step, check_patch};
pub use pending::Pending;
pub use server::{AddressOrigin, check_server};
pub use setup::{PlannedSetup, check_setup, suggested_beside, suggested_range};
pub use timeline::{JUMP_MIN, Jump, Known, Timeline};
pub use url::url;
