//! The image as a disk: a GPT (UEFI 2.10, chapter 5) with a BIOS boot partition, an ESP and a root filesystem.

use crate::artifact::Digest;

const SECTOR: u64 = 512;
/// Partitions begin at multiples of this.
const MIB: u64 = 1 << 20;
const ENTRIES: usize = 128;
const ENTRY_BYTES: usize = 128;
const ENTRIES_SECTORS: u64 = (ENTRIES * ENTRY_BYTES) as u64 / SECTOR;
/// Room for GRUB's core image, in a partition of its own.
const BIOS_BOOT_BYTES: u64 = MIB;

/// Types of partitions, as the GPT spells them.
const BIOS_BOOT: &str = "21686148-6449-6e6f-744e-656564454649";
const ESP: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
/// The Discoverable Partitions Specification: root on x86-64.
const ROOT: &str = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709";

/// Where GRUB's boot.img keeps the sector of the core image (`GRUB_BOOT_MACHINE_KERNEL_SECTOR`).
const BOOT_KERNEL_SECTOR_AT: usize = 0x5c;
/// A jump there distrusts the drive's number that the BIOS gives; on disks it is taken out, as GRUB's own set-up does
/// (`GRUB_BOOT_MACHINE_DRIVE_CHECK`).
const BOOT_DRIVE_CHECK_AT: usize = 0x66;
/// The code of a boot sector; the table of partitions stands behind it.
const BOOT_CODE_BYTES: usize = 440;
/// Where the core image's first sector lists the sectors of the rest: first sector (8 bytes), count (2), segment (2).
const CORE_LIST_AT: usize = 500;

/// Why boot files make no disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// A file of GRUB's is not as its releases have it.
    #[error("GRUB's {file} has {bytes} bytes: expected {expected}")]
    Grub {
        /// Which.
        file: &'static str,
        /// What it has.
        bytes: usize,
        /// What would be right.
        expected: &'static str,
    },
}

/// A UUID that follows from a recipe and a name, version 8 (RFC 9562): bytes of a digest.
pub fn derived_uuid(recipe: Digest, name: &str) -> uuid::Uuid {
    let digest = Digest::of(format!("{recipe} {name}").as_bytes()).bytes();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Where everything lies on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    esp_bytes: u64,
    root_bytes: u64,
}

impl Layout {
    /// For an ESP and a root filesystem of so many bytes, whole mebibytes both.
    pub fn new(esp_bytes: u64, root_bytes: u64) -> Self {
        debug_assert!(esp_bytes.is_multiple_of(MIB) && root_bytes.is_multiple_of(MIB));
        Self { esp_bytes, root_bytes }
    }

    /// Where the BIOS boot partition begins.
    pub const fn bios_boot_at(self) -> u64 {
        MIB
    }

    /// Where the ESP begins.
    pub const fn esp_at(self) -> u64 {
        self.bios_boot_at() + BIOS_BOOT_BYTES
    }

    /// Where root begins: it is the last, so that it can grow.
    pub const fn root_at(self) -> u64 {
        self.esp_at() + self.esp_bytes
    }

    /// Size of the disk; its last mebibyte holds the second table.
    pub const fn disk_bytes(self) -> u64 {
        self.root_at() + self.root_bytes + MIB
    }

    /// What stands before the ESP: boot sector, table, core image.
    pub fn front(self, recipe: Digest, boot: &[u8], core: &[u8]) -> Result<Vec<u8>, DiskError> {
        if boot.len() != SECTOR as usize {
            return Err(DiskError::Grub { file: "boot.img", bytes: boot.len(), expected: "512" });
        }
        if core.len() < SECTOR as usize || core.len() as u64 > BIOS_BOOT_BYTES {
            return Err(DiskError::Grub { file: "core.img", bytes: core.len(), expected: "512 to 1048576" });
        }
        let mut front = vec![0; self.esp_at() as usize];
        front[..BOOT_CODE_BYTES].copy_from_slice(&boot[..BOOT_CODE_BYTES]);
        let first = self.bios_boot_at() / SECTOR;
        front[BOOT_KERNEL_SECTOR_AT..][..8].copy_from_slice(&first.to_le_bytes());
        front[BOOT_DRIVE_CHECK_AT..][..2].copy_from_slice(&[0x90, 0x90]);
        // The protective entry of UEFI 2.10, section 5.2.3.
        let sectors = u32::try_from(self.disk_bytes() / SECTOR - 1).unwrap_or(u32::MAX);
        front[446..462].copy_from_slice(&[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0]);
        front[458..462].copy_from_slice(&sectors.to_le_bytes());
        front[510..512].copy_from_slice(&[0x55, 0xaa]);
        let entries = self.entries(recipe);
        front[512..][..92].copy_from_slice(&self.header(recipe, &entries, true));
        front[1024..][..entries.len()].copy_from_slice(&entries);
        let core_at = self.bios_boot_at() as usize;
        front[core_at..][..core.len()].copy_from_slice(core);
        front[core_at + CORE_LIST_AT..][..8].copy_from_slice(&(first + 1).to_le_bytes());
        Ok(front)
    }

    /// What stands behind root: the second table.
    pub fn back(self, recipe: Digest) -> Vec<u8> {
        let mut back = vec![0; MIB as usize];
        let entries = self.entries(recipe);
        let header_at = back.len() - SECTOR as usize;
        back[header_at - entries.len()..header_at].copy_from_slice(&entries);
        back[header_at..][..92].copy_from_slice(&self.header(recipe, &entries, false));
        back
    }

    fn entries(self, recipe: Digest) -> Vec<u8> {
        let partitions = [
            (BIOS_BOOT, "bios-boot", self.bios_boot_at(), BIOS_BOOT_BYTES),
            (ESP, "esp", self.esp_at(), self.esp_bytes),
            (ROOT, "root", self.root_at(), self.root_bytes),
        ];
        let mut entries = vec![0; ENTRIES * ENTRY_BYTES];
        for (entry, (kind, name, at, bytes)) in entries.chunks_exact_mut(ENTRY_BYTES).zip(partitions) {
            let kind: uuid::Uuid = kind.parse().expect("a constant");
            entry[..16].copy_from_slice(&kind.to_bytes_le());
            entry[16..32].copy_from_slice(&derived_uuid(recipe, name).to_bytes_le());
            entry[32..40].copy_from_slice(&(at / SECTOR).to_le_bytes());
            entry[40..48].copy_from_slice(&((at + bytes) / SECTOR - 1).to_le_bytes());
            for (place, unit) in entry[56..].chunks_exact_mut(2).zip(name.encode_utf16()) {
                place.copy_from_slice(&unit.to_le_bytes());
            }
        }
        entries
    }

    fn header(self, recipe: Digest, entries: &[u8], first: bool) -> [u8; 92] {
        let last = self.disk_bytes() / SECTOR - 1;
        let (own, other) = if first { (1, last) } else { (last, 1) };
        let entries_at = if first { 2 } else { last - ENTRIES_SECTORS };
        let mut header = [0; 92];
        header[..8].copy_from_slice(b"EFI PART");
        let mut put = |at: usize, bytes: &[u8]| header[at..][..bytes.len()].copy_from_slice(bytes);
        put(8, &0x0001_0000_u32.to_le_bytes());
        put(12, &92_u32.to_le_bytes());
        put(24, &own.to_le_bytes());
        put(32, &other.to_le_bytes());
        put(40, &(2 + ENTRIES_SECTORS).to_le_bytes());
        put(48, &(last - ENTRIES_SECTORS - 1).to_le_bytes());
        put(56, &derived_uuid(recipe, "disk").to_bytes_le());
        put(72, &entries_at.to_le_bytes());
        put(80, &(ENTRIES as u32).to_le_bytes());
        put(84, &(ENTRY_BYTES as u32).to_le_bytes());
        put(88, &crc32(entries).to_le_bytes());
        let sum = crc32(&header);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        header
    }
}

/// CRC-32 as UEFI has it (ISO 3309), bit by bit: it sums 17 KiB.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
    !bytes.iter().fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
    }

    fn layout() -> (Layout, Digest) {
        (Layout::new(64 * MIB, 512 * MIB), Digest::of(b"recipe"))
    }

    #[test]
    fn the_sum_is_the_one_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn both_tables_say_the_same_and_fit_their_sums() {
        let (layout, recipe) = layout();
        let front = layout.front(recipe, &[0x11; 512], &[0x22; 1000]).expect("a front");
        let back = layout.back(recipe);
        assert_eq!(front.len() as u64, layout.esp_at());
        let last = layout.disk_bytes() / SECTOR - 1;
        let (first_header, second_header) = (&front[512..604], &back[back.len() - 512..][..92]);
        for (header, own, other) in [(first_header, 1, last), (second_header, last, 1)] {
            assert_eq!((number(header, 24), number(header, 32)), (own, other));
            let mut zeroed = header.to_vec();
            zeroed[16..20].fill(0);
            assert_eq!(header[16..20], crc32(&zeroed).to_le_bytes());
            assert_eq!(number(header, 48), last - 33, "the last sector that partitions may have");
        }
        assert_eq!(front[1024..][..16384], back[back.len() - 512 - 16384..back.len() - 512]);
        assert_eq!(first_header[88..92], crc32(&front[1024..][..16384]).to_le_bytes());
        let ends: Vec<u64> = (0..3).map(|entry| number(&front, 1024 + entry * 128 + 40)).collect();
        assert_eq!(ends, [4095, 4096 + 131_072 - 1, 4096 + 131_072 + 1_048_576 - 1]);
        assert!(ends[2] <= last - 33);
    }

    #[test]
    fn grub_is_put_where_it_looks_for_itself() {
        let (layout, recipe) = layout();
        let front = layout.front(recipe, &[0x11; 512], &[0x22; 1000]).expect("a front");
        assert_eq!(number(&front, BOOT_KERNEL_SECTOR_AT), 2048);
        assert_eq!(front[BOOT_DRIVE_CHECK_AT..][..2], [0x90, 0x90]);
        assert_eq!((front[0], front[439], front[440]), (0x11, 0x11, 0), "its code, and nothing of its table");
        assert_eq!(front[510..512], [0x55, 0xaa]);
        let core = &front[layout.bios_boot_at() as usize..];
        assert_eq!(number(core, CORE_LIST_AT), 2049, "the sectors behind its first");
        assert_eq!((core[499], core[508], core[999], core[1000]), (0x22, 0x22, 0x22, 0));
    }

    #[test]
    fn what_is_not_grub_is_refused() {
        let (layout, recipe) = layout();
        assert!(layout.front(recipe, &[0; 511], &[0; 1000]).is_err());
        assert!(layout.front(recipe, &[0; 512], &[0; 511]).is_err());
        assert!(layout.front(recipe, &[0; 512], &vec![0; (1 << 20) + 1]).is_err());
    }

    #[test]
    fn identifiers_follow_from_the_recipe() {
        let recipe = Digest::of(b"recipe");
        let root = derived_uuid(recipe, "root");
        assert_eq!(root, derived_uuid(recipe, "root"));
        assert_eq!(root.get_version_num(), 8);
        assert_ne!(root, derived_uuid(recipe, "esp"));
        assert_ne!(root, derived_uuid(Digest::of(b"other"), "root"));
    }
}
