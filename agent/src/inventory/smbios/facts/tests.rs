//! Tables built by code: a rack server's, a virtual machine's, and broken ones.

use proptest::prelude::*;

use super::*;

/// One structure: bytes of its fixed part after the header, by offset, and its strings.
pub(crate) fn structure(kind: u8, length: usize, fields: &[(usize, &[u8])], strings: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0; length];
    bytes[0] = kind;
    bytes[1] = length as u8;
    for (at, value) in fields {
        bytes[*at..*at + value.len()].copy_from_slice(value);
    }
    for string in strings {
        bytes.extend(string.bytes());
        bytes.push(0);
    }
    if strings.is_empty() {
        bytes.push(0);
    }
    bytes.push(0);
    bytes
}

pub(crate) const ENTRY_POINT_3: &[u8] = b"_SM3_\0\x18\x03\x03\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0";
const UUID: [u8; 16] =
    [0x33, 0x22, 0x11, 0, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];

/// A two-socket rack server with three filled of four slots.
pub(crate) fn server() -> Vec<u8> {
    let cpu = |socket: &[u8]| {
        let fields: [(usize, &[u8]); 9] = [
            (4, &[1]),
            (5, &[3]),
            (7, &[2]),
            (0x10, &[3]),
            (0x14, &4000u16.to_le_bytes()),
            (0x16, &2100u16.to_le_bytes()),
            (0x18, &[0x41]),
            (0x23, &[0xff, 0xff, 0xff]),
            (0x2a, &[0, 1, 0, 1, 0, 2]),
        ];
        let socket = String::from_utf8_lossy(socket).into_owned();
        structure(4, 0x30, &fields, &[&socket, "Intel(R) Corporation", "Intel(R) Xeon(R) Platinum 8592+"])
    };
    let dimm = |slot: &str, size: u16, extended: u32| {
        let fields: [(usize, &[u8]); 9] = [
            (0x0c, &size.to_le_bytes()),
            (0x10, &[1, 2, 0x22]),
            (0x15, &5600u16.to_le_bytes()),
            (0x17, &[3, 4]),
            (0x1a, &[5]),
            (0x1c, &extended.to_le_bytes()),
            (0x20, &4800u16.to_le_bytes()),
            (0x22, &[0]),
            (0x53, &[0]),
        ];
        structure(17, 0x5c, &fields, &[slot, "NODE 0", "Samsung", "03A1B2C3", "M321R8GA0BB0-CQKZJ  "])
    };
    let mut table = Vec::new();
    table.extend(structure(0, 0x1a, &[(4, &[1, 2]), (8, &[3])], &["Dell Inc.", "2.3.5", "09/10/2024"]));
    table.extend(structure(
        1,
        0x1b,
        &[(4, &[1, 2, 0, 3]), (8, &UUID), (0x19, &[4, 5])],
        &["Dell Inc.", "PowerEdge R760", "ABC1234", "SKU=0A1B", "PowerEdge"],
    ));
    table.extend(structure(
        2,
        0x0f,
        &[(4, &[1, 2, 3, 4, 5])],
        &["Dell Inc.", "0VRV9X", "A03", ".ABC1234.", "asset"],
    ));
    table.extend(structure(
        3,
        0x1c,
        &[(4, &[1, 0x97, 0, 2, 3]), (0x13, &[2, 3]), (0x1b, &[4])],
        &["Dell Inc.", "ABC1234", "rack-4", "chassis sku"],
    ));
    table.extend(structure(3, 0x15, &[(4, &[1, 29])], &["An enclosure"]));
    table.extend(cpu(b"CPU1"));
    table.extend(cpu(b"CPU2"));
    table.extend(structure(4, 0x30, &[(4, &[1]), (5, &[3]), (0x18, &[0])], &["CPU3"]));
    table.extend(structure(16, 0x17, &[(5, &[3]), (0x0d, &[4, 0])], &[]));
    table.extend(structure(16, 0x17, &[(5, &[5]), (0x0d, &[9, 0])], &[]));
    table.extend(dimm("A1", 0x7fff, 65_536));
    table.extend(dimm("A2", 16_384, 0));
    table.extend(dimm("A3", 0, 0));
    table.extend(dimm("A4", 0x8200, 0));
    table.extend(structure(38, 0x12, &[(4, &[1, 0x20])], &[]));
    table.extend(structure(
        43,
        0x1f,
        &[(4, b"IFX\0"), (8, &[2, 0]), (0x12, &[1])],
        &["TPM 2.0, firmware 7.2"],
    ));
    table.extend(structure(127, 4, &[], &[]));
    table
}

#[test]
fn a_server_is_read_in_full() {
    let facts = read(ENTRY_POINT_3, &server());
    assert_eq!(facts.notes, [""; 0]);
    assert_eq!(facts.firmware.map(Option::unwrap_or_default), ["Dell Inc.", "2.3.5", "09/10/2024"]);
    assert_eq!(facts.uuid_raw, Some(UUID));
    let system = facts.system;
    assert_eq!(system.uuid.as_deref(), Some("00112233-4455-6677-8899-aabbccddeeff"));
    assert_eq!(system.product.as_deref(), Some("PowerEdge R760"));
    assert_eq!((system.serial.as_deref(), system.version), (Some("ABC1234"), None));
    assert_eq!((system.sku.as_deref(), system.family.as_deref()), (Some("SKU=0A1B"), Some("PowerEdge")));
    assert_eq!(facts.board.asset_tag.as_deref(), Some("asset"));
    assert_eq!(facts.chassis.kind.as_deref(), Some("Rack Mount Chassis"));
    assert_eq!(facts.chassis.asset_tag.as_deref(), Some("rack-4"));
    assert_eq!(facts.chassis.sku.as_deref(), Some("chassis sku"));
    assert_eq!(facts.processors.len(), 2);
    assert_eq!(facts.processors[0].cores, Some(256));
    assert_eq!(facts.processors[0].threads, Some(512));
    assert_eq!(facts.processors[0].mhz_max, Some(4000));
    assert_eq!(facts.slots, Some(4));
    let sizes: Vec<_> = facts.dimms.iter().map(|dimm| dimm.size_bytes).collect();
    assert_eq!(sizes, [Some(64 << 30), Some(16 << 30), Some(512 << 10)]);
    let first = &facts.dimms[0];
    assert_eq!((first.kind.as_deref(), first.speed_mts), (Some("DDR5"), Some(4800)));
    assert_eq!(
        (first.part.as_deref(), first.serial.as_deref()),
        (Some("M321R8GA0BB0-CQKZJ"), Some("03A1B2C3"))
    );
    assert_eq!(facts.bmc, Some((Some("kcs".into()), Some("2.0".into()))));
    assert_eq!(facts.tpm.and_then(|tpm| tpm.version).as_deref(), Some("2.0"));
}

#[test]
fn old_tables_hold_the_uuid_in_the_order_it_is_written() {
    let facts = read(b"_SM_\0\x1f\x02\x04", &server());
    assert_eq!(facts.system.uuid.as_deref(), Some("33221100-5544-7766-8899-aabbccddeeff"));
}

fn check_note(entry_point: &[u8], table: &[u8], expected: &str) {
    let facts = read(entry_point, table);
    assert!(facts.notes.iter().any(|note| note.contains(expected)), "{expected}: {:?}", facts.notes);
}

#[test]
fn broken_tables_leave_what_came_before_and_a_note() {
    let table = server();
    let system_at = structure(0, 0x1a, &[], &["Dell Inc.", "2.3.5", "09/10/2024"]).len();
    check_note(ENTRY_POINT_3, &[], "has no SMBIOS table");
    check_note(b"junk", &table, "entry point is unusable");
    check_note(ENTRY_POINT_3, &table[..system_at + 10], "ends within a structure");
    check_note(ENTRY_POINT_3, &table[..system_at], "does not describe the system");
    check_note(ENTRY_POINT_3, &[0xff; 64], "ends within a structure");
    assert_eq!(read(ENTRY_POINT_3, &table[..system_at + 200]).system.serial.as_deref(), Some("ABC1234"));
}

proptest! {
    #[test]
    fn any_bytes_are_read(entry in proptest::collection::vec(any::<u8>(), 0..32), table in proptest::collection::vec(any::<u8>(), 0..600)) {
        read(&entry, &table);
    }

    #[test]
    fn a_damaged_table_is_read(at in any::<prop::sample::Index>(), value: u8, cut in any::<prop::sample::Index>()) {
        let mut table = server();
        let at = at.index(table.len());
        table[at] = value;
        table.truncate(cut.index(table.len()));
        read(ENTRY_POINT_3, &table);
    }
}
