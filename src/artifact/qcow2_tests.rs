use flate2::{Compress, Compression as Level, FlushCompress};
use proptest::prelude::*;

use super::*;

const CLUSTER: usize = 512;

/// An image of version 3 with clusters of 512 bytes: header, L1, one L2 table, and behind them `clusters`.
fn image(disk_bytes: u64, l2: &[u64], clusters: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 3 * CLUSTER];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, MAGIC);
    put(4, &3_u32.to_be_bytes());
    put(20, &9_u32.to_be_bytes());
    put(24, &disk_bytes.to_be_bytes());
    put(36, &8_u32.to_be_bytes());
    put(40, &(CLUSTER as u64).to_be_bytes());
    put(100, &104_u32.to_be_bytes());
    put(CLUSTER, &((1 << 63) | (2 * CLUSTER as u64)).to_be_bytes());
    for (number, entry) in l2.iter().enumerate() {
        put(2 * CLUSTER + 8 * number, &entry.to_be_bytes());
    }
    file.extend_from_slice(clusters);
    file
}

fn read(file: &[u8]) -> Result<Vec<u8>, BadQcow2> {
    let mut image = Qcow2::open(file)?;
    let mut disk = Vec::new();
    while let Some(run) = image.next_run()? {
        match run.data {
            Some(data) => {
                assert_eq!(data.len() as u64, run.bytes);
                disk.extend_from_slice(data);
            }
            None => disk.resize(disk.len() + run.bytes as usize, 0),
        }
    }
    assert_eq!(disk.len() as u64, image.disk_bytes);
    Ok(disk)
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut packed = vec![0; 1024];
    let mut encoder = Compress::new(Level::default(), false);
    encoder.compress(bytes, &mut packed, FlushCompress::Finish).unwrap();
    packed.truncate(encoder.total_out() as usize);
    packed
}

#[test]
fn clusters_are_zero_plain_or_compressed() {
    let data = 3 * CLUSTER as u64;
    let packed = deflated(&[7; CLUSTER]);
    // Two of them in one sector; each entry says how many more sectors it needs.
    let second = data + CLUSTER as u64 + packed.len() as u64;
    let entries = [1 << 63 | data, 0, 1, 1 << 62 | (data + CLUSTER as u64), 1 << 62 | second];
    let mut clusters = vec![5; CLUSTER];
    clusters.extend_from_slice(&packed);
    clusters.extend_from_slice(&deflated(&[8; CLUSTER]));
    let file = image(5 * CLUSTER as u64 - 100, &entries, &clusters);
    let disk = read(&file).unwrap();
    let parts: Vec<(u8, bool)> =
        disk.chunks(CLUSTER).map(|part| (part[0], part.iter().all(|byte| *byte == part[0]))).collect();
    assert_eq!(parts, [(5, true), (0, true), (0, true), (7, true), (8, true)]);
    // In version 2 the lowest bit says nothing.
    let mut old = file.clone();
    old[7] = 2;
    assert_eq!(read(&old).unwrap(), disk);
    // A table that is not there: zeros to the end of the disk.
    let mut sparse = image(40 * 64 * 512 / 16, &[1 << 63 | data], &[5; CLUSTER]);
    assert_eq!(read(&sparse).unwrap().iter().filter(|byte| **byte != 0).count(), CLUSTER);
    sparse.truncate(sparse.len() - 100);
    assert_eq!(read(&sparse).unwrap().iter().filter(|byte| **byte != 0).count(), CLUSTER - 100);
}

#[track_caller]
fn check_refused(change: impl FnOnce(&mut Vec<u8>), part: &str) {
    let mut file = image(1000, &[(1 << 63) | (3 * CLUSTER as u64)], &[5; CLUSTER]);
    change(&mut file);
    let error = read(&file).expect_err("refused").to_string();
    assert!(error.contains(part) && error.contains("qemu-img"), "{error:?} lacks {part:?}");
}

#[test]
fn what_is_not_whole_or_not_plain_is_refused_with_a_remedy() {
    let set = |at: usize, value: u8| move |file: &mut Vec<u8>| file[at] = value;
    let entry =
        |entry: u64| move |file: &mut Vec<u8>| file[2 * CLUSTER..][..8].copy_from_slice(&entry.to_be_bytes());
    check_refused(set(15, 1), "backing file");
    check_refused(set(7, 4), "version 4");
    check_refused(set(35, 1), "encrypted");
    check_refused(set(79, 1), "dirty");
    check_refused(set(79, 2), "corrupt");
    check_refused(set(79, 4), "another file");
    check_refused(set(79, 16), "extended_l2");
    check_refused(set(79, 64), "0x40");
    check_refused(set(79, 8), "compression of type 0");
    check_refused(set(23, 22), "clusters of 2^22");
    check_refused(set(26, 0xff), "says at byte 24 that its disk has");
    check_refused(set(27, 0x80), "512 GiB is the limit");
    // One byte of the size less, and something else is wrong.
    check_refused(set(27, 0x7f), "entries in L1");
    check_refused(set(39, 0), "0 entries in L1");
    check_refused(set(36, 0xff), "entries in L1");
    check_refused(set(40, 0x70), "L1 table");
    check_refused(set(CLUSTER + 3, 1), "L2 table at");
    check_refused(set(23, 10), "not where a cluster begins");
    check_refused(entry(1 << 40), "behind the end");
    check_refused(entry(513 << 9 | 1 << 30), "behind the end");
    check_refused(entry((1 << 62) | (3 * CLUSTER as u64)), "does not give a cluster");
    check_refused(entry(1 << 62 | 1 << 40), "behind the end");
    check_refused(|file| file.truncate(40), "no header");
    check_refused(|file| file.truncate(100), "version 3");
}

proptest! {
    #[test]
    fn no_bytes_panic(
        disk_bytes in 0..300_000_u64,
        entries in proptest::collection::vec(any::<u64>(), 0..20),
        small in proptest::collection::vec(0..8_u64, 0..20),
        clusters in proptest::collection::vec(any::<u8>(), 0..3000),
        changes in proptest::collection::vec((0..2000_usize, any::<u8>()), 0..6),
    ) {
        let entries: Vec<u64> = entries.into_iter().chain(small.into_iter().map(|small| small * 512)).collect();
        let mut file = image(disk_bytes, &entries, &clusters);
        let _ = read(&file);
        for (at, value) in changes {
            if let Some(byte) = file.get_mut(at) {
                *byte = value;
            }
        }
        if let Ok(mut image) = Qcow2::open(&file) {
            // A disk of terabytes is a short story, as nothing is in it.
            for _ in 0..2000 {
                match image.next_run() {
                    Ok(Some(_)) => {}
                    _ => break,
                }
            }
        }
    }
}
