//! Overwrites disks: all of the approved ones, or none.

use std::{io, thread};

use ironwake_api::WipeWork;

use super::{
    Failure, Site, guard, holders,
    meter::Meter,
    signature,
    target::{DiskTarget, Target},
    write::ZERO_BYTES_MAX,
};

/// Does the work.
pub fn run(work: &WipeWork, site: &mut Site<'_>) -> Result<(), Failure> {
    if work.disks.is_empty() {
        return Err("no disk was approved".to_owned().into());
    }
    guard::check_all(site.root, &work.disks)?;
    site.reports.began()?;
    site.began = true;
    // Minutes may have passed.
    for approved in guard::check_all(site.root, &work.disks)? {
        let stopped = holders::release(site.root, approved.name())?;
        if !stopped.is_empty() {
            site.reports.screen.say(format!("{} held {}", stopped.join(", "), approved.name()));
        }
    }
    let approved = guard::check_all(site.root, &work.disks)?;
    // Every disk is opened before the first is written.
    let mut targets = Vec::new();
    for disk in &approved {
        targets.push((DiskTarget::open(disk)?, disk.partitions()));
    }
    let names: Vec<&str> = approved.iter().map(|disk| disk.name()).collect();
    let total = if work.every_sector { approved.iter().map(|disk| disk.size_bytes()).sum() } else { 0 };
    site.meter.begin(format!("wiping {}", names.join(", ")), total);
    let (reports, meter) = (site.reports, site.meter);
    let failures: Vec<String> = reports.while_reporting(meter, || {
        thread::scope(|scope| {
            let wiping: Vec<_> = targets
                .iter_mut()
                .map(|(target, partitions)| {
                    scope.spawn(|| {
                        let name = target.name().to_owned();
                        let wiped = signature::wipe(target, partitions)
                            .and_then(|()| if work.every_sector { zero_all(target, meter) } else { Ok(()) })
                            .and_then(|()| target.flush());
                        // The reboot makes the kernel forget the old partitions if this does not.
                        let _ = target.reread_partitions();
                        wiped.map_err(|error| format!("{name} could not be wiped: {error}"))
                    })
                })
                .collect();
            let joined = wiping
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            joined.filter_map(Result::err).collect()
        })
    });
    if meter.has_ended() {
        return Err(Failure::Ended("the operation was ended while disks were wiped".to_owned()));
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ").into()) }
}

fn zero_all(target: &mut dyn Target, meter: &Meter) -> io::Result<()> {
    let (mut offset, size_bytes) = (0, target.size_bytes());
    while offset < size_bytes && !meter.has_ended() {
        let length = ZERO_BYTES_MAX.min(size_bytes - offset);
        target.zero(offset, length)?;
        offset += length;
        meter.add(length);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
