//! What the inventory takes from SMBIOS structures (DSP0134, chapter 7).

use ironwake_api::{Board, Chassis, Dimm, System, Tpm};

use super::table::{Structure, Structures, Version};

/// Modules of memory at most; an eight-socket server has 192.
const DIMMS_MAX: usize = 1024;
/// Processors at most.
const PROCESSORS_MAX: usize = 256;
/// From this version on, a UUID's first three fields are little-endian.
const UUID_LITTLE_ENDIAN_SINCE: Version = Version { major: 2, minor: 6 };

/// A processor as the firmware describes it (type 4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processor {
    /// Socket designation.
    pub socket: Option<String>,
    /// Manufacturer in words, such as `Intel(R) Corporation`.
    pub manufacturer: Option<String>,
    /// Model name.
    pub model: Option<String>,
    /// Maximum speed in MHz.
    pub mhz_max: Option<u32>,
    /// Speed at power-on in MHz.
    pub mhz: Option<u32>,
    /// Cores.
    pub cores: Option<u32>,
    /// Threads.
    pub threads: Option<u32>,
}

/// All that the table says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Type 1.
    pub system: System,
    /// Type 1's UUID as it lies in the table.
    pub uuid_raw: Option<[u8; 16]>,
    /// Type 2.
    pub board: Board,
    /// Type 3.
    pub chassis: Chassis,
    /// Type 0: vendor, version, date.
    pub firmware: [Option<String>; 3],
    /// Type 4, filled sockets.
    pub processors: Vec<Processor>,
    /// Type 17, filled slots.
    pub dimms: Vec<Dimm>,
    /// Type 16: slots for system memory.
    pub slots: Option<u32>,
    /// Type 38: interface and IPMI version.
    pub bmc: Option<(Option<String>, Option<String>)>,
    /// Type 43.
    pub tpm: Option<Tpm>,
    /// What was wrong with the table.
    pub notes: Vec<String>,
}

/// Reads an entry point and a table as sysfs gives them.
pub fn read(entry_point: &[u8], table: &[u8]) -> Facts {
    let mut facts = Facts::default();
    let version = Version::parse(entry_point);
    if table.is_empty() {
        facts.notes.push("the firmware has no SMBIOS table".into());
        return facts;
    }
    if version.is_none() {
        facts.notes.push("the SMBIOS entry point is unusable: the UUID's byte order is a guess".into());
    }
    let mut structures = Structures::of(table);
    let mut seen = [false; 4];
    for structure in structures.by_ref() {
        match structure.kind() {
            // Blades and multi-node servers repeat these for their enclosure; the first is the machine's own.
            kind @ 0..=3 if std::mem::replace(&mut seen[usize::from(kind)], true) => {}
            0 => facts.firmware = [structure.string(4), structure.string(5), structure.string(8)],
            1 => read_system(&mut facts, &structure, version.unwrap_or(UUID_LITTLE_ENDIAN_SINCE)),
            2 => facts.board = read_board(&structure),
            3 => facts.chassis = read_chassis(&structure),
            4 if facts.processors.len() < PROCESSORS_MAX => {
                facts.processors.extend(read_processor(&structure))
            }
            // Use 3 is system memory; others are caches, flash and video memory.
            16 if structure.byte(5) == Some(3) => {
                let slots = u32::from(structure.word(0x0d).unwrap_or(0));
                facts.slots = Some(facts.slots.unwrap_or(0) + slots);
            }
            17 if facts.dimms.len() < DIMMS_MAX => facts.dimms.extend(read_dimm(&structure)),
            38 => facts.bmc = Some(read_bmc(&structure)),
            43 => facts.tpm = Some(read_tpm(&structure)),
            _ => {}
        }
    }
    if let Some(note) = structures.note() {
        facts.notes.push(format!("the SMBIOS table is broken: {note}"));
    }
    if !seen[1] {
        facts.notes.push("the SMBIOS table does not describe the system".into());
    }
    facts
}

fn read_system(facts: &mut Facts, structure: &Structure<'_>, version: Version) {
    facts.uuid_raw = structure.bytes(8, 16).and_then(|bytes| bytes.try_into().ok());
    facts.system = System {
        manufacturer: structure.string(4),
        product: structure.string(5),
        version: structure.string(6),
        serial: structure.string(7),
        uuid: facts.uuid_raw.map(|raw| uuid_text(raw, version >= UUID_LITTLE_ENDIAN_SINCE)),
        sku: structure.string(0x19),
        family: structure.string(0x1a),
    };
}

fn uuid_text(mut uuid: [u8; 16], little_endian: bool) -> String {
    if little_endian {
        uuid[..4].reverse();
        uuid[4..6].reverse();
        uuid[6..8].reverse();
    }
    crate::inventory::uuid_text(&uuid)
}

fn read_board(structure: &Structure<'_>) -> Board {
    Board {
        manufacturer: structure.string(4),
        product: structure.string(5),
        version: structure.string(6),
        serial: structure.string(7),
        asset_tag: structure.string(8),
    }
}

fn read_chassis(structure: &Structure<'_>) -> Chassis {
    // The SKU's number stands behind the contained elements, whose count and size the structure gives.
    let elements =
        usize::from(structure.byte(0x13).unwrap_or(0)) * usize::from(structure.byte(0x14).unwrap_or(0));
    let kind = structure.byte(5).map(|kind| usize::from(kind & 0x7f));
    Chassis {
        manufacturer: structure.string(4),
        kind: kind
            .and_then(|kind| CHASSIS_KINDS.get(kind))
            .filter(|kind| !kind.is_empty())
            .map(|&k| k.into()),
        version: structure.string(6),
        serial: structure.string(7),
        asset_tag: structure.string(8),
        sku: structure.string(0x15 + elements),
    }
}

fn read_processor(structure: &Structure<'_>) -> Option<Processor> {
    const CENTRAL: u8 = 3;
    const POPULATED: u8 = 0x40;
    if structure.byte(5) != Some(CENTRAL)
        || structure.byte(0x18).is_some_and(|status| status & POPULATED == 0)
    {
        return None;
    }
    // A count of 255 means that the real one stands in the wider field of SMBIOS 3.0.
    let count = |narrow: usize, wide: usize| match structure.byte(narrow)? {
        0 => None,
        0xff => structure.word(wide).map(u32::from),
        count => Some(count.into()),
    };
    Some(Processor {
        socket: structure.string(4),
        manufacturer: structure.string(7),
        model: structure.string(0x10),
        mhz_max: structure.word(0x14).filter(|&mhz| mhz != 0).map(u32::from),
        mhz: structure.word(0x16).filter(|&mhz| mhz != 0).map(u32::from),
        cores: count(0x23, 0x2a),
        threads: count(0x25, 0x2e),
    })
}

fn read_dimm(structure: &Structure<'_>) -> Option<Dimm> {
    const MIB: u64 = 1 << 20;
    let size_bytes = match structure.word(0x0c)? {
        0 => return None,
        0xffff => None,
        0x7fff => structure.double(0x1c).map(|mib| u64::from(mib & 0x7fff_ffff) * MIB),
        kib if kib & 0x8000 != 0 => Some(u64::from(kib & 0x7fff) << 10),
        mib => Some(u64::from(mib) * MIB),
    };
    let speed = |narrow: usize, wide: usize| match structure.word(narrow)? {
        0 => None,
        0xffff => structure.double(wide).filter(|&speed| speed != 0),
        speed => Some(speed.into()),
    };
    let kind = structure.byte(0x12).map(usize::from);
    Some(Dimm {
        slot: structure.string(0x10),
        bank: structure.string(0x11),
        size_bytes,
        kind: kind.and_then(|kind| MEMORY_KINDS.get(kind)).filter(|kind| !kind.is_empty()).map(|&k| k.into()),
        speed_mts: speed(0x20, 0x58).or_else(|| speed(0x15, 0x54)),
        manufacturer: structure.string(0x17),
        part: structure.string(0x1a),
        serial: structure.string(0x18),
    })
}

fn read_bmc(structure: &Structure<'_>) -> (Option<String>, Option<String>) {
    let interface = match structure.byte(4) {
        Some(1) => Some("kcs"),
        Some(2) => Some("smic"),
        Some(3) => Some("bt"),
        Some(4) => Some("ssif"),
        _ => None,
    };
    let version = structure.byte(5).filter(|&bcd| bcd != 0).map(|bcd| format!("{}.{}", bcd >> 4, bcd & 15));
    (interface.map(Into::into), version)
}

fn read_tpm(structure: &Structure<'_>) -> Tpm {
    let version = structure.byte(8).zip(structure.byte(9)).filter(|&(major, _)| major != 0);
    let vendor = structure.bytes(4, 4).and_then(crate::inventory::sysfs::clean);
    Tpm {
        version: version.map(|(major, minor)| format!("{major}.{minor}")),
        description: structure.string(0x12).or(vendor),
    }
}

/// DSP0134, 7.4.1.
const CHASSIS_KINDS: [&str; 37] = [
    "",
    "Other",
    "Unknown",
    "Desktop",
    "Low Profile Desktop",
    "Pizza Box",
    "Mini Tower",
    "Tower",
    "Portable",
    "Laptop",
    "Notebook",
    "Hand Held",
    "Docking Station",
    "All in One",
    "Sub Notebook",
    "Space-saving",
    "Lunch Box",
    "Main Server Chassis",
    "Expansion Chassis",
    "SubChassis",
    "Bus Expansion Chassis",
    "Peripheral Chassis",
    "RAID Chassis",
    "Rack Mount Chassis",
    "Sealed-case PC",
    "Multi-system chassis",
    "Compact PCI",
    "Advanced TCA",
    "Blade",
    "Blade Enclosure",
    "Tablet",
    "Convertible",
    "Detachable",
    "IoT Gateway",
    "Embedded PC",
    "Mini PC",
    "Stick PC",
];

/// DSP0134, 7.18.2; reserved numbers are empty.
const MEMORY_KINDS: [&str; 36] = [
    "",
    "Other",
    "",
    "DRAM",
    "EDRAM",
    "VRAM",
    "SRAM",
    "RAM",
    "ROM",
    "Flash",
    "EEPROM",
    "FEPROM",
    "EPROM",
    "CDRAM",
    "3DRAM",
    "SDRAM",
    "SGRAM",
    "RDRAM",
    "DDR",
    "DDR2",
    "DDR2 FB-DIMM",
    "",
    "",
    "",
    "DDR3",
    "FBD2",
    "DDR4",
    "LPDDR",
    "LPDDR2",
    "LPDDR3",
    "LPDDR4",
    "Logical non-volatile device",
    "HBM",
    "HBM2",
    "DDR5",
    "LPDDR5",
];

#[cfg(test)]
pub(crate) mod tests;
