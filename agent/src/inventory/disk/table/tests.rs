//! Tables built by code, whole and damaged.

use proptest::prelude::*;

use super::*;

const DISK_BYTES: usize = 4 << 20;
const ESP: [u8; 16] =
    [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];

fn seal(disk: &mut [u8], at: usize, sector: usize, array_at: usize) {
    let array = crc32(&disk[array_at * sector..array_at * sector + 128 * 128]);
    let header = &mut disk[at * sector..at * sector + 92];
    header[88..92].copy_from_slice(&array.to_le_bytes());
    header[16..20].fill(0);
    let sum = crc32(header);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
}

fn gpt(sector: usize) -> Vec<u8> {
    let mut disk = vec![0; DISK_BYTES];
    let last = DISK_BYTES / sector - 1;
    let array_sectors = 128 * 128 / sector;
    for (at, other, array_at) in [(1, last, 2), (last, 1, last - array_sectors)] {
        let header = &mut disk[at * sector..at * sector + 92];
        header[..8].copy_from_slice(GPT_SIGNATURE);
        header[8..16].copy_from_slice(&[0, 0, 1, 0, 92, 0, 0, 0]);
        header[24..32].copy_from_slice(&(at as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(other as u64).to_le_bytes());
        header[72..80].copy_from_slice(&(array_at as u64).to_le_bytes());
        header[80..88].copy_from_slice(&[128, 0, 0, 0, 128, 0, 0, 0]);
        for (index, (first, last, name)) in
            [(256u64, 511u64, "EFI"), (512, 767, "root")].into_iter().enumerate()
        {
            let entry = &mut disk[array_at * sector + index * 256..][..128];
            entry[..16].copy_from_slice(&ESP);
            entry[16..32].fill(index as u8 + 1);
            entry[32..40].copy_from_slice(&first.to_le_bytes());
            entry[40..48].copy_from_slice(&last.to_le_bytes());
            for (unit, c) in entry[56..].chunks_mut(2).zip(name.encode_utf16()) {
                unit.copy_from_slice(&c.to_le_bytes());
            }
        }
        seal(&mut disk, at, sector, array_at);
    }
    disk
}

fn dos() -> Vec<u8> {
    let mut disk = vec![0; DISK_BYTES];
    let mut record = |at: usize, entries: &[(u8, u32, u32)]| {
        let sector = &mut disk[at * 512..][..512];
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        for (bytes, (kind, start, sectors)) in sector[446..510].chunks_mut(16).zip(entries) {
            bytes[4] = *kind;
            bytes[8..12].copy_from_slice(&start.to_le_bytes());
            bytes[12..].copy_from_slice(&sectors.to_le_bytes());
        }
    };
    record(0, &[(0x83, 64, 100), (0, 0, 0), (0x0f, 1000, 2000)]);
    record(1000, &[(0x83, 8, 100), (0x05, 500, 300)]);
    record(1500, &[(0x82, 8, 200)]);
    disk
}

fn numbers(table: &Table) -> Vec<(u32, u64, u64)> {
    table.entries.iter().map(|e| (e.number, e.start_bytes / 512, e.size_bytes / 512)).collect()
}

#[test]
fn a_gpt_is_read_in_both_sector_sizes() {
    for (sector, factor) in [(512, 1), (4096, 8)] {
        let table = find(&gpt(sector)[..], DISK_BYTES as u64, sector as u32).expect("a table");
        assert_eq!((table.kind, table.notes.len()), ("gpt", 0));
        assert_eq!(numbers(&table), [(1, 256 * factor, 256 * factor), (3, 512 * factor, 256 * factor)]);
        assert_eq!(table.entries[0].kind, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
        assert_eq!(table.entries[1].guid.as_deref(), Some("02020202-0202-0202-0202-020202020202"));
        assert_eq!(table.entries[1].name.as_deref(), Some("root"));
    }
}

#[test]
fn either_copy_is_enough_and_damage_changes_the_fingerprint() {
    let whole = find(&gpt(512)[..], DISK_BYTES as u64, 512).expect("a table");
    for (damaged, note) in [(600, "primary"), (DISK_BYTES - 500, "backup")] {
        let mut disk = gpt(512);
        disk[damaged] ^= 1;
        let table = find(&disk[..], DISK_BYTES as u64, 512).expect("a table");
        assert_eq!(table.entries, whole.entries);
        assert!(table.notes[0].contains(note), "{:?}", table.notes);
        assert_ne!(table.fingerprint, whole.fingerprint);
    }
    let mut moved = gpt(512);
    let at = 2 * 512 + 40;
    moved[at] ^= 1;
    seal(&mut moved, 1, 512, 2);
    assert_ne!(find(&moved[..], DISK_BYTES as u64, 512).expect("a table").fingerprint, whole.fingerprint);
}

#[test]
fn fingerprints_ignore_what_is_not_the_table() {
    let mut disk = gpt(512);
    let before = find(&disk[..], DISK_BYTES as u64, 512).expect("a table").fingerprint;
    disk[0..440].fill(0x90);
    disk[300 * 512] = 1;
    assert_eq!(find(&disk[..], DISK_BYTES as u64, 512).expect("a table").fingerprint, before);
    assert_eq!(before.len(), "sha256:".len() + 64);
}

#[test]
fn a_dos_table_is_read_with_its_logical_partitions() {
    let table = find(&dos()[..], DISK_BYTES as u64, 512).expect("a table");
    assert_eq!(table.kind, "dos");
    assert_eq!(numbers(&table), [(1, 64, 100), (3, 1000, 2000), (5, 1008, 100), (6, 1508, 200)]);
    assert_eq!(table.entries[3].kind, "0x82");
    assert!(table.notes.is_empty());
}

#[test]
fn a_looping_chain_ends() {
    let mut disk = dos();
    disk[1500 * 512 + 462 + 4] = 5;
    disk[1500 * 512 + 462 + 12] = 1;
    disk[1500 * 512 + 510..1500 * 512 + 512].copy_from_slice(&[0x55, 0xaa]);
    let table = find(&disk[..], DISK_BYTES as u64, 512).expect("a table");
    assert!(table.notes.iter().any(|note| note.contains("loops")), "{:?}", table.notes);
}

#[test]
fn no_table_is_none() {
    assert_eq!(find(&[0u8; 4096][..], 4096, 512), None);
    assert_eq!(find(&[][..], 0, 512), None);
    let mut boot_code = vec![0x90u8; 4096];
    boot_code[510..512].copy_from_slice(&[0x55, 0xaa]);
    assert_eq!(find(&boot_code[..], 4096, 512), None);
}

#[test]
fn the_checksum_is_the_usual_one() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_disk_is_read(changes in proptest::collection::vec((0usize..2048, any::<u8>()), 0..20), is_gpt: bool, size in 0u64..DISK_BYTES as u64) {
        let mut disk = if is_gpt { gpt(512) } else { dos() };
        for (at, value) in changes {
            disk[at] = value;
        }
        find(&disk[..], size, 512);
        find(&disk[..], size, 4096);
    }

    #[test]
    fn any_valid_header_is_read(fields in proptest::collection::vec(any::<u8>(), 64)) {
        let mut disk = gpt(512);
        disk[512 + 24 + 8..512 + 88].copy_from_slice(&fields[..56]);
        let mut header = disk[512..512 + 92].to_vec();
        header[16..20].fill(0);
        let sum = crc32(&header);
        disk[512 + 16..512 + 20].copy_from_slice(&sum.to_le_bytes());
        find(&disk[..], DISK_BYTES as u64, 512);
    }
}
