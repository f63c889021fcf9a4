//! The work of an armed boot. Nothing here runs without a claimed operation, and nothing is opened for writing
//! that the wipe guard has not approved: `guard` makes what `target` opens. The appliance, which installs itself on a disk,
//! uses the guard and what is public beside it, and nothing else.

pub mod efi_boot;
mod fetch;
pub mod guard;
pub mod holders;
mod image;
mod inject;
mod meter;
mod pieces;
mod report;
mod rescue;
mod shell;
pub mod signature;
mod table;
pub mod target;
mod unpack;
mod volume;
mod wipe;
mod write;

use std::path::Path;

use ironwake_api::{ApprovedDisk, Claim, Work};

pub use report::Reports;

use self::{meter::Meter, report::Ended};

/// What the machine does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Reboot: all is done.
    Reboot,
    /// Wait for orders, as a machine that was never armed does.
    Wait,
}

/// Where the work is done.
struct Site<'a> {
    root: &'a Path,
    base_url: &'a str,
    reports: &'a Reports,
    meter: &'a Meter,
    load: &'a mut dyn FnMut(&str),
    /// The daemon has allowed the first write.
    began: bool,
}

/// Why the work ended early.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// It could not go on.
    Reason(String),
    /// The daemon has ended it.
    Ended(String),
}

impl Failure {
    /// With what was done about it.
    fn and(self, more: &str) -> Self {
        match self {
            Self::Reason(reason) => Self::Reason(format!("{reason}; {more}")),
            Self::Ended(reason) => Self::Ended(format!("{reason}; {more}")),
        }
    }
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Reason(reason)
    }
}

impl From<Ended> for Failure {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended.0)
    }
}

impl From<write::WriteError> for Failure {
    fn from(error: write::WriteError) -> Self {
        match error {
            write::WriteError::Ended => Self::Ended(error.to_string()),
            error => Self::Reason(error.to_string()),
        }
    }
}

macro_rules! failure_from {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Reason(error.to_string())
            }
        }
    )*};
}

failure_from!(
    guard::Refusal,
    holders::HolderError,
    inject::InjectError,
    target::OpenError,
    volume::VolumeError
);

/// Does the claimed work on the machine below `root`. `load` loads a kernel module by its name.
pub fn perform(claim: &Claim, root: &Path, reports: &Reports, load: &mut dyn FnMut(&str)) -> Next {
    let meter = Meter::default();
    let mut site = Site { root, base_url: reports.server.url(), reports, meter: &meter, load, began: false };
    let result = match &claim.work {
        Work::Image(work) => image::run(work, &mut site),
        Work::Wipe(work) => wipe::run(work, &mut site),
        Work::Inspect => {
            reports.note("inspected: the inventory is in");
            return Next::Wait;
        }
        Work::Rescue => match rescue::run(&mut site) {
            Ok(ended) => {
                reports.note(&format!("the rescue has ended: {ended}"));
                return Next::Reboot;
            }
            Err(failure) => Err(failure),
        },
    };
    if site.began {
        // The next operation on these disks is confirmed and guarded by what is there.
        reports.disks(volume::as_they_are(root, written(&claim.work)));
    }
    match result {
        Ok(()) => {
            reports.done();
            Next::Reboot
        }
        Err(Failure::Reason(reason)) => {
            reports.failed(&reason);
            Next::Wait
        }
        Err(Failure::Ended(reason)) => {
            reports.note(&format!("the operation has ended: {reason}"));
            Next::Wait
        }
    }
}

/// The disks that the work writes.
fn written(work: &Work) -> &[ApprovedDisk] {
    match work {
        Work::Image(work) => std::slice::from_ref(&work.disk),
        Work::Wipe(work) => &work.disks,
        Work::Inspect | Work::Rescue => &[],
    }
}

#[cfg(test)]
mod testing;
