//! What units of the appliance do as root, on the disks of this host and not through the daemon.

use std::path::Path;

use anyhow::Context as _;
use ironwake_api::InstallThen;
use uuid::Uuid;

use super::{Failure, human};
use crate::builders::Child;
use crate::disk_install::{
    Host, Order, mark_for_reset, order_path, read_disks as read, run, run_folder, run_unattended, write_disks,
};

/// A folder on the filesystem of `/var`, made when it is needed.
const WORK: &str = "var/lib/ironwake-install";

fn root() -> &'static Path {
    Path::new("/")
}

fn host() -> Host {
    let root = root();
    Host { root: root.to_owned(), run: run_folder(root), work: root.join(WORK), now: human::now() }
}

/// `ironwake-disks.service`
pub fn read_disks() -> Result<(), Failure> {
    let now = human::now();
    let disks = read(root(), now);
    Ok(write_disks(&run_folder(root()), &disks).context("write what was read")?)
}

/// `ironwake-install.service`
pub fn install_disk() -> Result<(), Failure> {
    let path = order_path(root());
    let order = Order::take(&path).with_context(|| format!("read the order {}", path.display()))?;
    run(&host(), &order.disk, &order.digest, Uuid::new_v4()).context("install the appliance")?;
    end(order.then)
}

/// `ironwake-unattended.service`
pub fn install_unattended() -> Result<(), Failure> {
    match run_unattended(&host()).context("install the appliance")? {
        Some(then) => end(then),
        None => Ok(()),
    }
}

/// `ironwake-factory-reset.service`
pub fn mark_factory_reset() -> Result<(), Failure> {
    Ok(mark_for_reset(root()).context("mark this appliance for a factory reset")?)
}

fn end(then: InstallThen) -> Result<(), Failure> {
    let verb = match then {
        InstallThen::Wait => return Ok(()),
        InstallThen::Reboot => "reboot",
        InstallThen::PowerOff => "poweroff",
    };
    let ended = Child::new("systemctl", "end this system").args(["--no-block", verb]).run(&mut |_| ());
    Ok(ended.context("the appliance is installed")?)
}
