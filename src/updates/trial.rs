//! A version on trial: whether the one that runs is one, what became of it, and that it stays.

use std::fs;

use ironwake_api::Millis;
use serde::{Deserialize, Serialize};

use super::record::{boot_id, read, read_record, write, write_record};
use super::{BootFiles, FileError, Firmware, Places, Record, RecordState, image_version};
use crate::appliance::{TRIES, Version};

/// Why the version that runs was not healthy; beside the record.
const UNHEALTHY: &str = "unhealthy.json";
/// How often `on-trial` has restarted without the ESP; in the same folder.
const BLIND: &str = "blind";
/// Longest reason that is kept.
const WHY_CHARS_MAX: usize = 2000;
/// What is said of starts in which nothing could say why.
const UNKNOWN: &str =
    "none of its starts came so far that it could say why: its kernel, its initrd or its daemon failed";

/// What the version that runs is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assessment {
    /// It stays.
    Settled,
    /// It is tried; a restart is another try, or leads back to the version before.
    Trial {
        /// Starts so far, this one included.
        boots: u32,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct Unhealthy {
    version: String,
    at: Millis,
    why: String,
}

/// Whether `running` is on trial: counted by the firmware, and with another version to go back to. One that is alone, as on a
/// stick that was just flashed, is started again by nobody.
pub fn assess(places: &Places, running: &Version) -> Result<Assessment, FileError> {
    let files = BootFiles::open(places)?;
    let boots = match Firmware::of(places) {
        Firmware::Bios => match files.grubenv().trial() {
            Some((version, left)) if version == running.as_str() => Some(TRIES.saturating_sub(left)),
            _ => None,
        },
        Firmware::Uefi => {
            let ukis = files.ukis()?;
            let alone = ukis.iter().all(|uki| uki.version == running.as_str());
            let own = ukis.iter().find(|uki| uki.version == running.as_str());
            // One that goes on where no tries are left is what there is: restarting it for ever helps nobody.
            own.and_then(|uki| uki.counter).map(|(_, done)| done).filter(|done| !alone && *done <= TRIES)
        }
    };
    Ok(boots.map_or(Assessment::Settled, |boots| Assessment::Trial { boots }))
}

/// Looks at what became of the last update, at the start of a boot, and notes it. Gives the record where it has just changed.
pub fn take_stock(places: &Places) -> Result<Option<Record>, FileError> {
    let (Some(mut record), Some(running)) = (read_record(places)?, image_version(&places.root)) else {
        return Ok(None);
    };
    if record.boot_id == boot_id(&places.root) || record.version == running.as_str() {
        return Ok(None);
    }
    match record.state {
        RecordState::Installing => {
            record.state = RecordState::Failed;
            record.why = Some("the appliance went off while it was being written".into());
        }
        RecordState::Installed => {
            let files = BootFiles::open(places)?;
            let counted = match Firmware::of(places) {
                Firmware::Bios => {
                    let grubenv = files.grubenv();
                    let trial = grubenv.trial().filter(|(version, _)| *version == record.version);
                    trial.map(|(_, left)| (left, TRIES.saturating_sub(left)))
                }
                Firmware::Uefi => files.uki(&record.version)?.and_then(|uki| uki.counter),
            };
            // Somebody chose the old one in the boot menu: the next start tries again.
            if counted.is_some_and(|(left, _)| left > 0) {
                return Ok(None);
            }
            let unhealthy: Option<Unhealthy> = read(&places.state.join(UNHEALTHY)).unwrap_or_default();
            let why = unhealthy
                .filter(|unhealthy| unhealthy.version == record.version && unhealthy.at >= record.at);
            record.state = RecordState::FellBack;
            record.boots = counted.map(|(_, done)| done);
            record.why = Some(why.map_or_else(|| UNKNOWN.into(), |unhealthy| unhealthy.why));
        }
        RecordState::Good | RecordState::FellBack | RecordState::Failed => return Ok(None),
    }
    write_record(places, &record)?;
    Ok(Some(record))
}

/// Keeps why the version that runs is not healthy, for the version that comes back to tell.
pub fn note_unhealthy(places: &Places, running: &Version, why: &str, now: Millis) -> Result<(), FileError> {
    let why = why.chars().take(WHY_CHARS_MAX).collect();
    write(&places.state.join(UNHEALTHY), &Unhealthy { version: running.to_string(), at: now, why })
}

/// The version that runs stays. Says whether it was on trial until now.
pub fn bless(places: &Places, running: &Version) -> Result<bool, FileError> {
    let trial = assess(places, running)? != Assessment::Settled;
    let files = BootFiles::open(places)?;
    // The record first: without it the version would be good, and nobody would know what became of the update.
    if let Some(mut record) = read_record(places)?
        && record.version == running.as_str()
        && matches!(record.state, RecordState::Installed | RecordState::Installing)
        && record.boot_id != boot_id(&places.root)
    {
        record.state = RecordState::Good;
        write_record(places, &record)?;
    }
    // Another that was installed later and waits for its first start is not forgotten by that.
    let record = read_record(places)?;
    let later = record.as_ref().filter(|record| record.version != running.as_str());
    let waits = later.is_some_and(|record| record.state == RecordState::Installed);
    // One that was chosen in the boot menu, or started since the later one could not be read, stays for that time only.
    let stays = later.is_some_and(|record| record.state == RecordState::Good);
    let grubenv = files.grubenv();
    let good = grubenv.get("good").filter(|good| files.has_for_bios(good));
    let chosen = stays && !trial && good.is_some_and(|good| good != running.as_str());
    if !waits && !chosen {
        files.bless(running)?;
    }
    // That is over: another version has as many restarts.
    let _ = fs::remove_file(places.state.join(BLIND));
    Ok(trial)
}

#[cfg(test)]
#[path = "trial_tests.rs"]
mod tests;
