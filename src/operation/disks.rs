//! Which disks an operation may write: a rule, resolved against an inventory.

use std::fmt;
use std::str::FromStr;

use ironwake_api::{ApprovedDisk, Disk, Inventory};

use crate::machine::is_built_in;

/// How an operator or a profile names a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskRule {
    /// The disk with this serial number.
    Serial(String),
    /// The disk with this world-wide name.
    Wwn(String),
    /// The disk of this kernel name in the last inventory.
    Name(String),
    /// The disk with a partition or filesystem of this label.
    Label(String),
    /// The smallest that is at least so large.
    Smallest {
        /// Bytes.
        at_least: u64,
    },
    /// The largest.
    Largest,
    /// The only disk whose size lies between these, both included.
    Size {
        /// Bytes.
        from: u64,
        /// Bytes.
        to: u64,
    },
    /// The only disk there is.
    Only,
}

/// A text that is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no disk rule; one is: only, smallest, smallest>=SIZE, largest, serial=TEXT, wwn=TEXT, name=TEXT, \
     label=TEXT, size=SIZE, size=SIZE..SIZE (SIZE such as 480G or 1.92T)"
)]
pub struct DiskRuleError(String);

/// Why a rule names no single disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// None fits.
    #[error("no disk fits {rule}; there are: {}", list(.disks))]
    None {
        /// The rule.
        rule: String,
        /// The disks that were looked at.
        disks: Vec<String>,
    },
    /// Several fit, and guessing would wipe the wrong one.
    #[error("several disks fit {rule}: {}; name one by serial or wwn", .disks.join(", "))]
    Several {
        /// The rule.
        rule: String,
        /// Those that fit.
        disks: Vec<String>,
    },
    /// The one that fits refuses to be written.
    #[error("{disk} fits, and it is read-only")]
    ReadOnly {
        /// The disk.
        disk: String,
    },
}

fn list(disks: &[String]) -> String {
    if disks.is_empty() { "none".into() } else { disks.join(", ") }
}

/// The disk that `rule` names in `inventory`. A removable one has to be named by serial, WWN, name or label.
pub fn resolve(rule: &DiskRule, inventory: &Inventory) -> Result<ApprovedDisk, Unresolved> {
    let named =
        matches!(rule, DiskRule::Serial(_) | DiskRule::Wwn(_) | DiskRule::Name(_) | DiskRule::Label(_));
    let candidates: Vec<&Disk> =
        inventory.disks.iter().filter(|disk| disk.size_bytes > 0 && (named || is_built_in(disk))).collect();
    let fitting: Vec<&Disk> = candidates.iter().copied().filter(|disk| rule.fits(disk)).collect();
    let best = |size: Option<u64>| -> Vec<&Disk> {
        fitting.iter().copied().filter(|disk| Some(disk.size_bytes) == size).collect()
    };
    let chosen = match rule {
        DiskRule::Smallest { .. } => best(fitting.iter().map(|disk| disk.size_bytes).min()),
        DiskRule::Largest => best(fitting.iter().map(|disk| disk.size_bytes).max()),
        _ => fitting,
    };
    match chosen[..] {
        [] => Err(Unresolved::None {
            rule: rule.to_string(),
            disks: inventory.disks.iter().map(describe).collect(),
        }),
        [disk] if disk.read_only == Some(true) => Err(Unresolved::ReadOnly { disk: describe(disk) }),
        [disk] => Ok(ApprovedDisk::from(disk)),
        _ => Err(Unresolved::Several {
            rule: rule.to_string(),
            disks: chosen.iter().map(|disk| describe(disk)).collect(),
        }),
    }
}

impl DiskRule {
    fn fits(&self, disk: &Disk) -> bool {
        match self {
            Self::Serial(serial) => disk.serial.as_ref() == Some(serial),
            Self::Wwn(wwn) => disk.wwn.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(wwn)),
            Self::Name(name) => disk.name == *name,
            Self::Label(label) => disk
                .partitions
                .iter()
                .any(|partition| [&partition.label, &partition.name].contains(&&Some(label.clone()))),
            Self::Smallest { at_least } => disk.size_bytes >= *at_least,
            Self::Size { from, to } => (*from..=*to).contains(&disk.size_bytes),
            Self::Largest | Self::Only => true,
        }
    }
}

fn describe(disk: &Disk) -> String {
    let serial = disk.serial.as_ref().or(disk.wwn.as_ref()).map(|id| format!(" {id}")).unwrap_or_default();
    let removable = if disk.removable == Some(true) { ", removable" } else { "" };
    format!("{}{serial} ({} bytes{removable})", disk.name, disk.size_bytes)
}

impl FromStr for DiskRule {
    type Err = DiskRuleError;

    fn from_str(text: &str) -> Result<Self, DiskRuleError> {
        let wrong = || DiskRuleError(text.to_owned());
        match text {
            "only" => return Ok(Self::Only),
            "smallest" => return Ok(Self::Smallest { at_least: 1 }),
            "largest" => return Ok(Self::Largest),
            _ => {}
        }
        if let Some(size) = text.strip_prefix("smallest>=") {
            return Ok(Self::Smallest { at_least: bytes(size).ok_or_else(wrong)? });
        }
        let (key, value) = text.split_once('=').ok_or_else(wrong)?;
        let value = value.trim();
        if value.is_empty() {
            return Err(wrong());
        }
        match key {
            "serial" => Ok(Self::Serial(value.into())),
            "wwn" => Ok(Self::Wwn(value.into())),
            "name" => Ok(Self::Name(value.trim_start_matches("/dev/").into())),
            "label" => Ok(Self::Label(value.into())),
            "size" => {
                let (from, to) = match value.split_once("..") {
                    Some((from, to)) => (bytes(from), bytes(to)),
                    None => nominal(value).map_or((None, None), |(from, to)| (Some(from), Some(to))),
                };
                match (from, to) {
                    (Some(from), Some(to)) if from <= to => Ok(Self::Size { from, to }),
                    _ => Err(wrong()),
                }
            }
            _ => Err(wrong()),
        }
    }
}

/// A disk sold as one size has a little more or less: 2 percent to either side.
fn nominal(text: &str) -> Option<(u64, u64)> {
    let size = bytes(text)?;
    Some((size - size / 50, size.saturating_add(size / 50)))
}

/// `480G`, `1.92T`, `512000`: decimal units as disks are sold, or `GiB` and the like.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 13] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("K", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("", 1),
    ];
    let (number, unit) =
        UNITS.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?.trim(), *size)))?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || part.len() > 6 || !part.bytes().chain(whole.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths: u64 =
        part.parse::<u64>().or_else(|error| if part.is_empty() { Ok(0) } else { Err(error) }).ok()?;
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let part = u128::from(thousandths) * u128::from(unit) / 10_u128.pow(part.len() as u32);
    whole.checked_add(part as u64).filter(|size| *size > 0)
}

impl fmt::Display for DiskRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial(text) => write!(f, "serial={text}"),
            Self::Wwn(text) => write!(f, "wwn={text}"),
            Self::Name(text) => write!(f, "name={text}"),
            Self::Label(text) => write!(f, "label={text}"),
            Self::Smallest { at_least: 0 | 1 } => f.write_str("smallest"),
            Self::Smallest { at_least } => write!(f, "smallest>={at_least}"),
            Self::Largest => f.write_str("largest"),
            Self::Size { from, to } => write!(f, "size={from}..{to}"),
            Self::Only => f.write_str("only"),
        }
    }
}
