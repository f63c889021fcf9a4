//! What makes a disk look like it holds something: tables and superblocks at both ends of it and of its
//! partitions. LVM, ZFS, arrays and filesystems all have theirs within a MiB of an end.

use std::io;

use ironwake_api::Partition;

use super::target::Target;

/// What is zeroed at each end.
const END_BYTES: u64 = 1 << 20;

/// Zeroes both ends of the disk and of each of its partitions. The table goes last of all: until then the
/// partitions can still be found.
pub fn wipe(target: &mut dyn Target, partitions: &[Partition]) -> io::Result<()> {
    let size_bytes = target.size_bytes();
    let whole = (0, size_bytes);
    let spans = partitions.iter().map(|p| (p.start_bytes, p.start_bytes.saturating_add(p.size_bytes)));
    for (start, end) in spans.chain([whole]) {
        // A table may say anything.
        let (start, end) = (start.min(size_bytes), end.min(size_bytes));
        let tail = end.saturating_sub(END_BYTES).max(start);
        target.zero(tail, end.saturating_sub(tail))?;
        target.zero(start, end.min(start + END_BYTES).saturating_sub(start))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::testing::{Act, Recorder};

    const MIB: u64 = 1 << 20;

    #[track_caller]
    fn check(size_bytes: u64, partitions: &[(u64, u64)], expected: &[(u64, u64)]) {
        let partitions: Vec<Partition> = partitions
            .iter()
            .map(|(start_bytes, size_bytes)| Partition {
                start_bytes: *start_bytes,
                size_bytes: *size_bytes,
                ..Partition::default()
            })
            .collect();
        let mut target = Recorder::new(size_bytes);
        wipe(&mut target, &partitions).expect("wiped");
        let zeroed: Vec<(u64, u64)> = target
            .acts
            .iter()
            .filter_map(|act| match act {
                Act::Zeroed(offset, length) if *length > 0 => Some((*offset, *length)),
                _ => None,
            })
            .collect();
        assert_eq!(zeroed, expected);
    }

    #[test]
    fn both_ends_of_everything_are_zeroed() {
        check(100 * MIB, &[], &[(99 * MIB, MIB), (0, MIB)]);
        check(
            100 * MIB,
            &[(MIB, 10 * MIB), (20 * MIB, 512 * 1024)],
            &[
                (10 * MIB, MIB),
                (MIB, MIB),
                (20 * MIB, MIB / 2),
                (20 * MIB, MIB / 2),
                (99 * MIB, MIB),
                (0, MIB),
            ],
        );
        // Smaller than what is zeroed, and a table that lies.
        check(MIB / 2, &[], &[(0, MIB / 2), (0, MIB / 2)]);
        check(
            10 * MIB,
            &[(8 * MIB, u64::MAX), (u64::MAX, 5)],
            &[(9 * MIB, MIB), (8 * MIB, MIB), (9 * MIB, MIB), (0, MIB)],
        );
    }
}
