//! The firmware's boot entries: `Boot####` and `BootOrder` (UEFI 2.10, sections 3.1, 3.3 and 10.3).

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use ironwake_api::{BootEntry, Disk};

#[cfg(test)]
use crate::inventory::disk::number;

/// Of the variables that the specification itself names.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Kept without power, seen while booting and by the running system.
const ATTRIBUTES: u32 = 7;
/// `LOAD_OPTION_ACTIVE`.
const ACTIVE: u32 = 1;
const MEDIA: u8 = 4;
const HARD_DRIVE: u8 = 1;
const FILE_PATH: u8 = 4;
const END: [u8; 4] = [0x7f, 0xff, 4, 0];
/// A label is one line of a menu.
const LABEL_CHARS_MAX: usize = 128;
/// Paths on an EFI system partition are short.
const LOADER_CHARS_MAX: usize = 512;
const NUMBERS_MAX: u32 = 0x1_0000;

/// Why the entry was not made.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// The wanted entry makes no sense on this disk.
    #[error("{0}")]
    Unusable(String),
    /// The firmware's variables cannot be read or written.
    #[error("the firmware's variable {name}: {source}")]
    Variable {
        /// Its name.
        name: String,
        /// Why.
        source: io::Error,
    },
}

/// Where the loader's partition lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Partition, from 1.
    pub number: u32,
    /// First sector.
    pub start: u64,
    /// Sectors.
    pub sectors: u64,
    /// The partition's GUID as it lies on the disk.
    pub guid: [u8; 16],
}

impl Location {
    /// The partition of this number on a disk with a GPT.
    pub fn find(disk: &Disk, number: u32) -> Option<Self> {
        let partition = disk.partitions.iter().find(|partition| partition.number == number)?;
        let sector_bytes = u64::from(disk.sector_bytes.unwrap_or(512));
        Some(Self {
            number,
            start: partition.start_bytes / sector_bytes,
            sectors: partition.size_bytes / sector_bytes,
            guid: parse_guid(partition.guid.as_deref()?)?,
        })
    }
}

/// A GUID's first three fields are little-endian on the disk.
fn parse_guid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    if digits.len() != 32 {
        return None;
    }
    let mut guid = [0; 16];
    for (byte, pair) in guid.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    guid[..4].reverse();
    guid[4..6].reverse();
    guid[6..8].reverse();
    Some(guid)
}

/// `EFI_LOAD_OPTION` of a loader on a partition.
pub fn encode(label: &str, location: &Location, loader: &str) -> Vec<u8> {
    let wide =
        |text: &str| -> Vec<u8> { text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect() };
    let mut path = vec![MEDIA, HARD_DRIVE, 42, 0];
    path.extend(location.number.to_le_bytes());
    path.extend(location.start.to_le_bytes());
    path.extend(location.sectors.to_le_bytes());
    path.extend(location.guid);
    // Both say GPT: the table's format, and what the signature is.
    path.extend([2, 2]);
    let file = wide(loader);
    path.extend([MEDIA, FILE_PATH]);
    path.extend((file.len() as u16 + 4).to_le_bytes());
    path.extend(file);
    path.extend(END);
    let mut option = ACTIVE.to_le_bytes().to_vec();
    option.extend((path.len() as u16).to_le_bytes());
    option.extend(wide(label));
    option.extend(path);
    option
}

/// An entry's label, from its `EFI_LOAD_OPTION`.
pub fn parse_label(option: &[u8]) -> Option<String> {
    let units: Vec<u16> = option
        .get(6..)?
        .chunks_exact(2)
        .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
        .take_while(|unit| *unit != 0)
        .collect();
    String::from_utf16(&units).ok()
}

/// What is to be written.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// The number of the entry.
    pub number: u16,
    /// The order, with it in front.
    pub order: Vec<u16>,
}

/// An entry with the same label is used again, or else the first number that is free.
pub fn plan(entries: &BTreeMap<u16, Vec<u8>>, order: &[u16], label: &str) -> Option<Plan> {
    let same = entries.iter().find(|(_, option)| parse_label(option).as_deref() == Some(label));
    let number = match same {
        Some((number, _)) => *number,
        None => (0..NUMBERS_MAX).map(|number| number as u16).find(|number| !entries.contains_key(number))?,
    };
    let others = order.iter().copied().filter(|other| *other != number);
    Some(Plan { number, order: std::iter::once(number).chain(others).collect() })
}

/// Writes the entry through `folder`, which is efivarfs. Gives back its number.
pub fn write(folder: &Path, entry: &BootEntry, disk: &Disk) -> Result<u16, EntryError> {
    let unusable = |text: String| Err(EntryError::Unusable(text));
    if entry.label.is_empty() || entry.label.chars().count() > LABEL_CHARS_MAX || entry.label.contains('\0') {
        return unusable(format!("a boot entry's label has 1 to {LABEL_CHARS_MAX} characters"));
    }
    let is_path = entry.loader.starts_with('\\') && !entry.loader.contains(['/', '\0']);
    if !is_path || entry.loader.chars().count() > LOADER_CHARS_MAX {
        return unusable(format!("{:?} is no loader's path, such as \\EFI\\BOOT\\BOOTX64.EFI", entry.loader));
    }
    let Some(location) = Location::find(disk, entry.partition) else {
        let (name, number) = (&disk.name, entry.partition);
        return unusable(format!("{name} has no partition {number} with a GUID, which a boot entry needs"));
    };
    let entries = read_entries(folder)?;
    let order: Vec<u16> = read(folder, "BootOrder")?
        .unwrap_or_default()
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    let Some(plan) = plan(&entries, &order, &entry.label) else {
        return unusable("the firmware has no boot entry left".to_owned());
    };
    let option = encode(&entry.label, &location, &entry.loader);
    let name = format!("Boot{:04X}", plan.number);
    if entries.get(&plan.number) != Some(&option) {
        put(folder, &name, &option)?;
    }
    if plan.order != order {
        let bytes: Vec<u8> = plan.order.iter().flat_map(|number| number.to_le_bytes()).collect();
        put(folder, "BootOrder", &bytes)?;
    }
    Ok(plan.number)
}

fn read_entries(folder: &Path) -> Result<BTreeMap<u16, Vec<u8>>, EntryError> {
    let mut entries = BTreeMap::new();
    let listed = fs::read_dir(folder)
        .map_err(|source| EntryError::Variable { name: folder.display().to_string(), source })?;
    for file in listed.flatten() {
        let name = file.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(GLOBAL)).and_then(|name| {
            let digits = name.strip_prefix("Boot")?.strip_suffix('-')?;
            if digits.len() == 4 { u16::from_str_radix(digits, 16).ok() } else { None }
        });
        if let Some(number) = number {
            // One that cannot be read is taken all the same: its number is not free.
            let option = read(folder, &format!("Boot{number:04X}")).ok().flatten();
            entries.insert(number, option.unwrap_or_default());
        }
    }
    Ok(entries)
}

fn path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}-{GLOBAL}"))
}

/// A variable's value, behind its attributes.
fn read(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, EntryError> {
    match fs::read(path(folder, name)) {
        Ok(bytes) => Ok(Some(bytes.get(4..).unwrap_or_default().to_vec())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(EntryError::Variable { name: name.to_owned(), source }),
    }
}

/// One write is one change of the variable, so attributes and value go together.
fn put(folder: &Path, name: &str, value: &[u8]) -> Result<(), EntryError> {
    let mut bytes = ATTRIBUTES.to_le_bytes().to_vec();
    bytes.extend(value);
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    let result = options.open(path(folder, name)).and_then(|mut file| {
        let written = file.write(&bytes)?;
        if written == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    });
    result.map_err(|source| EntryError::Variable { name: name.to_owned(), source })
}

/// The fields of an entry that names a partition and a file, for tests.
#[cfg(test)]
fn parse(option: &[u8]) -> Option<(String, Location, String)> {
    let label = parse_label(option)?;
    let path = option.get(6 + (label.encode_utf16().count() + 1) * 2..)?;
    assert_eq!(path.len() as u64, number(option, 4, 2)?);
    assert_eq!(path[..4], [MEDIA, HARD_DRIVE, 42, 0]);
    let location = Location {
        number: number(path, 4, 4)? as u32,
        start: number(path, 8, 8)?,
        sectors: number(path, 16, 8)?,
        guid: path.get(24..40)?.try_into().ok()?,
    };
    let file = path.get(42..)?;
    let length = number(file, 2, 2)? as usize;
    let units: Vec<u16> =
        file[4..length - 2].chunks(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    assert_eq!(file[length..], END);
    Some((label, location, String::from_utf16(&units).ok()?))
}

#[cfg(test)]
mod tests {
    use ironwake_api::Partition;

    use super::*;

    const GUID: &str = "0fc63daf-8483-4772-8e79-3d69d8477de4";

    fn disk() -> Disk {
        let partition = Partition {
            number: 15,
            start_bytes: 1 << 20,
            size_bytes: 124 << 20,
            guid: Some(GUID.into()),
            ..Partition::default()
        };
        Disk { name: "sda".into(), sector_bytes: Some(512), partitions: vec![partition], ..Disk::default() }
    }

    fn entry(label: &str) -> BootEntry {
        BootEntry { label: label.into(), partition: 15, loader: "\\EFI\\debian\\shimx64.efi".into() }
    }

    #[test]
    fn an_entry_has_the_specifications_bytes() {
        let location = Location::find(&disk(), 15).expect("a partition");
        let bytes = encode("A", &location, "\\B");
        #[rustfmt::skip]
        let expected: &[u8] = &[
            1, 0, 0, 0, 56, 0, b'A', 0, 0, 0,
            4, 1, 42, 0, 15, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0xe0, 3, 0, 0, 0, 0, 0,
            0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4, 2, 2,
            4, 4, 10, 0, b'\\', 0, b'B', 0, 0, 0,
            0x7f, 0xff, 4, 0,
        ];
        assert_eq!(bytes, expected);
        let (label, place, loader) =
            parse(&encode("Debian 13 ü", &location, "\\EFI\\x.efi")).expect("an entry");
        assert_eq!((label.as_str(), place, loader.as_str()), ("Debian 13 ü", location, "\\EFI\\x.efi"));
    }

    #[test]
    fn a_label_is_used_again_and_comes_first() {
        let location = Location::find(&disk(), 15).expect("a partition");
        let option = |label: &str| encode(label, &location, "\\x");
        let entries = BTreeMap::from([(0, option("UiApp")), (1, option("PXE")), (3, option("Debian"))]);
        let check = |label: &str, order: &[u16], number, expected: &[u16]| {
            assert_eq!(plan(&entries, order, label), Some(Plan { number, order: expected.to_vec() }));
        };
        check("Debian", &[1, 0, 3], 3, &[3, 1, 0]);
        check("Flatcar", &[1, 0], 2, &[2, 1, 0]);
        check("Debian", &[], 3, &[3]);
        let full: BTreeMap<u16, Vec<u8>> = (0..=u16::MAX).map(|number| (number, Vec::new())).collect();
        assert_eq!(plan(&full, &[], "Debian"), None);
    }

    #[test]
    fn variables_are_written_with_their_attributes_and_others_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let variable = |name: &str| folder.path().join(format!("{name}-{GLOBAL}"));
        fs::write(variable("BootOrder"), [7, 0, 0, 0, 1, 0]).expect("a variable");
        fs::write(variable("Boot0001"), [7, 0, 0, 0, 1, 0, 0, 0, 0, 0, b'P', 0, 0, 0]).expect("a variable");
        fs::write(variable("BootCurrent"), [6, 0, 0, 0, 1, 0]).expect("a variable");
        assert_eq!(write(folder.path(), &entry("Debian"), &disk()).expect("written"), 0);
        let written = fs::read(variable("Boot0000")).expect("the entry");
        assert_eq!(written[..4], [7, 0, 0, 0]);
        assert_eq!(parse(&written[4..]).expect("an entry").2, "\\EFI\\debian\\shimx64.efi");
        assert_eq!(fs::read(variable("BootOrder")).expect("the order"), [7, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(fs::read(variable("Boot0001")).expect("the other").len(), 14);
        assert_eq!(write(folder.path(), &entry("Debian"), &disk()).expect("written again"), 0);
        assert_eq!(fs::read(variable("BootOrder")).expect("the order").len(), 8);
    }

    #[test]
    fn an_entry_that_makes_no_sense_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let check = |entry: &BootEntry, expected: &str| {
            let error = write(folder.path(), entry, &disk()).expect_err("a refusal").to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(&entry(""), "label");
        check(&BootEntry { loader: "/EFI/x.efi".into(), ..entry("x") }, "no loader's path");
        check(&BootEntry { partition: 1, ..entry("x") }, "sda has no partition 1");
        let missing = folder.path().join("none");
        assert!(matches!(write(&missing, &entry("x"), &disk()), Err(EntryError::Variable { .. })));
    }
}
