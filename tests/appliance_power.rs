//! The plug of an appliance is pulled while it starts for the first time, and while it writes: whatever its disk held at that moment
//! is a system that starts, and nothing that was acknowledged is lost.

#[path = "appliance/mod.rs"]
mod appliance;
#[path = "lab/mod.rs"]
mod lab;

use std::process::Command;

use appliance::cuts::Cuts;
use appliance::left;
use appliance::machine::{Attached, Machine};
use lab::{Firmware, LabError};

/// The disk: small, for each cut looks at all of it.
const DISK_MIB: u64 = 2048;
/// Machines that are added, each acknowledged.
const ADDED: usize = 60;
/// Power cuts that are looked at.
const POINTS: usize = 240;
/// What these leave is booted: in the middle of the first start, with the first machines, and with most.
const BOOTED: [usize; 3] = [POINTS / 6, POINTS / 3 + 8, POINTS - POINTS / 8];
/// Adds machines. What the daemon has acknowledged is marked on the disk itself, in the slot that nothing uses: the record of
/// writes has the mark between what was written before and after it.
const SCRIPT: &str = r#"
slot=$(readlink -f /dev/disk/ironwake/root-other)
for n in $(seq 1 60); do
    ironwake machine add --mac "$(printf 52:54:00:aa:00:%02x "$n")" --name "cut$n" >/dev/null || exit 1
    printf 'acknowledged %03d' "$n" | dd of="$slot" bs=4096 seek="$n" conv=sync oflag=direct,dsync status=none
done
echo added
"#;

#[test]
fn full_appliance_power_cuts_lose_nothing_that_was_acknowledged() -> Result<(), LabError> {
    let machine = Machine::flashed(Firmware::Bios, Attached::Virtio, DISK_MIB)?.recorded();
    let folder = tempfile::tempdir().map_err(LabError::io("make a folder"))?;
    let replayed = folder.path().join("disk");
    lab::run(Command::new("cp").arg("--sparse=always").args([&machine.disk(), &replayed]))?;
    let report = machine.boot_and(SCRIPT, |_| Ok(()))?;
    assert_eq!(report.value("did"), "added", "{report}");

    let runtime = tokio::runtime::Runtime::new().map_err(LabError::io("make a runtime"))?;
    let mut cuts = Cuts::of(&machine.disk(), &replayed)?;
    let marks: Vec<usize> = (1..=ADDED)
        .map(|number| cuts.after(&format!("acknowledged {number:03}")))
        .collect::<Result<_, _>>()?;
    assert!(marks.is_sorted(), "{marks:?}");
    // A third of the points in the first start, the others while machines were added.
    let (first, last) = (marks[0], cuts.len());
    let even =
        |from: usize, to: usize, points: usize| (1..=points).map(move |n| from + (to - from) * n / points);
    let points: Vec<usize> =
        even(0, first, POINTS / 3).chain(even(first, last, POINTS - POINTS / 3)).collect();
    let mut found = Vec::new();
    for (number, &point) in points.iter().enumerate() {
        let acknowledged = marks.partition_point(|mark| *mark <= point);
        let kept = BOOTED.contains(&number).then(|| folder.path().join(format!("kept{number}")));
        let look = |disk: &_| runtime.block_on(left::machines(disk, folder.path()));
        let machines = cuts.cut(point, number as u64, kept.as_deref(), look)?;
        assert!(
            machines.unwrap_or(0) >= acknowledged,
            "cut {number} after {point} of {last} writes: {acknowledged} were acknowledged, {machines:?} are there"
        );
        found.push(machines);
        if let Some(copy) = &kept {
            let again = Machine::with_disk(Firmware::Bios, Attached::Virtio, copy)?;
            let report = again.boot()?;
            println!("what cut {number} left starts:\n{report}");
            assert_eq!((report.value("failed"), report.value("failed-units")), ("", ""), "{report}");
            let there = report.value("machines-before").matches("\"cut").count();
            assert!(there >= acknowledged, "{acknowledged} were acknowledged:\n{report}");
        }
    }
    println!("machines after {} cuts: {found:?}", found.len());
    // The cuts are where they hurt: before there is a database, and while it is written.
    assert!(found[0].is_none() && found.last() == Some(&Some(ADDED)), "{found:?}");
    Ok(())
}
