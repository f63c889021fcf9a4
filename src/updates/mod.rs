//! Updates of the appliance: bundles that are made and read, and what root does with them: the other slot is written, the next
//! start tries it, and it stays only if it is healthy. The running slot is never written.
//!
//! The daemon asks, by a bundle and an order in its state directory; root side trusts neither, and looks at all of it again.

mod boot;
mod bundle;
mod host;
mod install;
mod make;
mod record;
mod secure_boot;
mod sysupdate;
mod trial;

use std::io;
use std::path::{Path, PathBuf};

pub use boot::{BootFiles, Firmware};
pub use bundle::{check_file, check_stream, keyring, open};
pub use host::{Booted, booted, image_version};
pub use install::{InstallError, install};
pub use make::{MakeError, make};
pub use record::{
    BOOT_ID, Order, OrderProgress, Record, RecordState, boot_id, read_progress, read_record, write_order,
};
pub use trial::{Assessment, assess, bless, note_unhealthy, take_stock};

/// The operator's keys, in place of those of the image.
pub const OWN_KEYS: &str = "etc/ironwake/update-keys.asc";
/// Keys that the image came with.
pub const SHIPPED_KEYS: &str = "usr/lib/ironwake/update-keys.asc";
/// Where the bundle waits that is to be installed, and its order beside it; below the state directory.
pub const INBOX: &str = "update";
/// The bundle's name there.
pub const BUNDLE: &str = "bundle.update";
/// The order's.
pub const ORDER: &str = "order.json";

/// Names the root of another system, for tests.
const ROOT_VARIABLE: &str = "IRONWAKE_ROOT";

/// Where everything lies. In tests all of it is below another root.
#[derive(Debug, Clone)]
pub struct Places {
    /// `/`
    pub root: PathBuf,
    /// The daemon's folder with the bundle and the order.
    pub inbox: PathBuf,
    /// Root's own folder on the disk.
    pub state: PathBuf,
    /// Root's own folder in memory.
    pub run: PathBuf,
    /// Where the ESP is mounted.
    pub esp: PathBuf,
    /// Where the firmware's variables are.
    pub efivars: PathBuf,
    /// systemd-sysupdate.
    pub sysupdate: PathBuf,
}

impl Places {
    /// Of the system below `root`.
    pub fn below(root: &Path) -> Self {
        Self {
            root: root.into(),
            inbox: root.join("var/lib/ironwake").join(INBOX),
            state: root.join("var/lib/ironwake-update"),
            run: root.join("run/ironwake-update"),
            esp: root.join("efi"),
            efivars: root.join("sys/firmware/efi/efivars"),
            sysupdate: root.join("usr/lib/systemd/systemd-sysupdate"),
        }
    }

    /// Of this system.
    pub fn system() -> Self {
        Self::below(&std::env::var_os(ROOT_VARIABLE).map_or_else(|| PathBuf::from("/"), PathBuf::from))
    }

    /// Of this system, for a daemon with this state directory.
    pub fn of_state(state: &Path) -> Self {
        Self { inbox: state.join(INBOX), ..Self::system() }
    }
}

/// A file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}", path.display())]
pub struct FileError {
    /// What was tried.
    pub what: &'static str,
    /// Which.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Says of an error what was tried, and with which file.
fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { what, path, source }
}
