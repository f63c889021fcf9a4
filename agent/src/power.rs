//! Reboot and power off.

use std::convert::Infallible;

use nix::sys::reboot::{RebootMode, reboot};

/// Restarts the machine. Returns only if the kernel refuses.
pub fn restart() -> nix::Error {
    end(RebootMode::RB_AUTOBOOT)
}

/// Switches the machine off. Returns only if the kernel refuses.
pub fn off() -> nix::Error {
    end(RebootMode::RB_POWER_OFF)
}

fn end(mode: RebootMode) -> nix::Error {
    nix::unistd::sync();
    let Err(error): Result<Infallible, _> = reboot(mode);
    error
}
