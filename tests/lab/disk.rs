//! Disks of the lab's machines.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::error::LabError;

/// What a disk that was booted writes to the serial port.
pub const MARKER: &str = "IRONWAKE-LAB: THE LOCAL DISK RUNS\r\n";

/// How a disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// virtio-blk.
    Virtio,
    /// NVMe.
    Nvme,
    /// SATA; spins at 7200 revolutions a minute as far as the guest knows.
    Sata,
}

/// A disk. Its image is a sparse file.
#[derive(Debug, Clone)]
pub struct Disk {
    /// How it is attached.
    pub bus: Bus,
    /// Serial number.
    pub serial: String,
    /// Size.
    pub size_bytes: u64,
    /// Whether it boots, in BIOS and UEFI, into a program that writes [`MARKER`] to the serial port and halts.
    pub bootable: bool,
    /// What it does besides keeping bytes.
    pub quirk: Quirk,
}

/// What a disk does besides keeping bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quirk {
    /// Nothing.
    None,
    /// Every write is recorded, in order, in a file beside its image ([`super::writes`]).
    Recorded,
    /// Writes to this sector fail.
    FailsAt(u64),
    /// It takes no more than so many bytes a second.
    Slow(u64),
}

impl Disk {
    /// An empty disk.
    pub fn blank(bus: Bus, serial: &str, size_bytes: u64) -> Self {
        Self { bus, serial: serial.into(), size_bytes, bootable: false, quirk: Quirk::None }
    }

    /// A disk that boots and says so.
    pub fn bootable(bus: Bus, serial: &str, size_bytes: u64) -> Self {
        Self { bootable: true, ..Self::blank(bus, serial, size_bytes) }
    }

    /// The same disk with a quirk.
    pub fn with_quirk(self, quirk: Quirk) -> Self {
        Self { quirk, ..self }
    }

    /// Makes its image at `path` unless it is there: a machine's disk outlives a power cycle.
    pub fn create(&self, path: &Path) -> Result<(), LabError> {
        if path.exists() {
            return Ok(());
        }
        if self.quirk == Quirk::Recorded {
            // QEMU starts its record in a file that is there.
            let log = super::writes::path_of(path);
            File::create(&log).map_err(LabError::io(format!("make {}", log.display())))?;
        }
        let what = || format!("make the disk image {}", path.display());
        let mut file = File::create(path).map_err(LabError::io(what()))?;
        if self.bootable {
            file.write_all(&volume()).map_err(LabError::io(what()))?;
        }
        file.set_len(self.size_bytes.max(VOLUME_SECTORS as u64 * SECTOR as u64)).map_err(LabError::io(what()))
    }

    /// QEMU's arguments for disk `number` with its image at `path`.
    pub fn arguments(&self, number: usize, path: &Path) -> Vec<String> {
        let serial = self.serial.replace(',', ",,");
        let device = match self.bus {
            // The recorder puts two pieces before what it records. QEMU's virtio-blk merges writes up to the 1024 pieces that a
            // system call takes, and with those two the host refuses the call: one write in dozens, when the guest's memory is in pieces.
            Bus::Virtio if self.quirk == Quirk::Recorded => "virtio-blk-pci,request-merging=off".to_owned(),
            Bus::Virtio => "virtio-blk-pci".to_owned(),
            Bus::Nvme => "nvme".to_owned(),
            Bus::Sata => format!("ide-hd,rotation_rate=7200,bus=ide.{number}"),
        };
        let text = path.display().to_string().replace(',', ",,");
        // The images live for one test: nothing is gained by syncing them.
        let file = format!("driver=file,cache.no-flush=on,discard=unmap,filename={text}");
        let raw = format!("driver=raw,discard=unmap,file=file{number}");
        let mut arguments = vec!["-blockdev".to_owned(), format!("node-name=file{number},{file}")];
        let mut add = |value: String| arguments.extend(["-blockdev".to_owned(), value]);
        match self.quirk {
            Quirk::None => add(format!("node-name=disk{number},{raw}")),
            Quirk::Recorded => {
                let log = super::writes::path_of(path).display().to_string().replace(',', ",,");
                add(format!("node-name=raw{number},{raw}"));
                add(format!("node-name=log{number},driver=file,cache.no-flush=on,filename={log}"));
                add(format!(
                    "node-name=disk{number},driver=blklogwrites,file=raw{number},log=log{number},log-sector-size=512"
                ));
            }
            Quirk::Slow(_) => {
                add(format!("node-name=raw{number},{raw}"));
                add(format!(
                    "node-name=disk{number},driver=throttle,throttle-group=limits{number},file=raw{number}"
                ));
            }
            Quirk::FailsAt(sector) => {
                let inject = format!(
                    "inject-error.0.event=none,inject-error.0.iotype=write,inject-error.0.errno=5,inject-error.0.sector={sector}"
                );
                add(format!("node-name=raw{number},{raw}"));
                add(format!("node-name=disk{number},driver=blkdebug,image=raw{number},{inject}"));
            }
        }
        if let Quirk::Slow(bytes_per_sec) = self.quirk {
            let limits = format!("throttle-group,id=limits{number},x-bps-write={bytes_per_sec}");
            arguments.extend(["-object".to_owned(), limits]);
        }
        arguments.extend([
            "-device".to_owned(),
            format!("{device},drive=disk{number},serial={serial},bootindex={}", 10 + number),
        ]);
        arguments
    }
}

// The boot volume: FAT12 over the first 4 MiB, without a partition table, which BIOS boots by its first
// sector and UEFI by its file \EFI\BOOT\BOOTX64.EFI (Microsoft, "FAT: General Overview of On-Disk Format").
const SECTOR: usize = 512;
const VOLUME_SECTORS: u16 = 8192;
const CLUSTER_SECTORS: usize = 4;
const FAT_SECTORS: usize = 6; // 2045 clusters of 12 bits
const ROOT_ENTRIES: usize = 64;
const ROOT_SECTOR: usize = 1 + 2 * FAT_SECTORS;
const DATA_SECTOR: usize = ROOT_SECTOR + ROOT_ENTRIES * 32 / SECTOR;
/// Clusters of the two folders and the program, each one cluster long.
const EFI: u16 = 2;
const BOOT: u16 = 3;
const PROGRAM: u16 = 4;
/// Where the boot sector's program begins, behind the parameter block.
const CODE_OFFSET: usize = 62;

fn volume() -> Vec<u8> {
    let mut image = vec![0; (DATA_SECTOR + 3 * CLUSTER_SECTORS) * SECTOR];
    image[..SECTOR].copy_from_slice(&boot_sector());
    // Entries 0 and 1 are reserved; 2, 3 and 4 end their chains.
    let table = [0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f];
    for copy in 0..2 {
        put(&mut image, (1 + copy * FAT_SECTORS) * SECTOR, &table);
    }
    let program = efi_program();
    let root = ROOT_SECTOR * SECTOR;
    put(&mut image, root, &entry(b"EFI        ", true, EFI, 0));
    for (folder, parent, child) in [
        (EFI, 0, entry(b"BOOT       ", true, BOOT, 0)),
        (BOOT, EFI, entry(b"BOOTX64 EFI", false, PROGRAM, program.len() as u32)),
    ] {
        let at = cluster(folder);
        put(&mut image, at, &entry(b".          ", true, folder, 0));
        put(&mut image, at + 32, &entry(b"..         ", true, parent, 0));
        put(&mut image, at + 64, &child);
    }
    put(&mut image, cluster(PROGRAM), &program);
    image
}

fn cluster(number: u16) -> usize {
    (DATA_SECTOR + (usize::from(number) - 2) * CLUSTER_SECTORS) * SECTOR
}

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

fn entry(name: &[u8; 11], folder: bool, cluster: u16, size: u32) -> [u8; 32] {
    let mut entry = [0; 32];
    put(&mut entry, 0, name);
    entry[11] = if folder { 0x10 } else { 0x20 };
    put(&mut entry, 26, &cluster.to_le_bytes());
    put(&mut entry, 28, &size.to_le_bytes());
    entry
}

fn boot_sector() -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    put(&mut sector, 0, &[0xeb, CODE_OFFSET as u8 - 2, 0x90]);
    put(&mut sector, 3, b"IRONWAKE");
    put(&mut sector, 11, &(SECTOR as u16).to_le_bytes());
    sector[13] = CLUSTER_SECTORS as u8;
    put(&mut sector, 14, &[1, 0, 2]); // one reserved sector, two tables
    put(&mut sector, 17, &(ROOT_ENTRIES as u16).to_le_bytes());
    put(&mut sector, 19, &VOLUME_SECTORS.to_le_bytes());
    sector[21] = 0xf8;
    put(&mut sector, 22, &(FAT_SECTORS as u16).to_le_bytes());
    put(&mut sector, 24, &[63, 0, 255, 0]);
    put(&mut sector, 36, &[0x80, 0, 0x29]);
    put(&mut sector, 43, b"LAB        FAT12   ");
    put(&mut sector, CODE_OFFSET, &bios_program());
    put(&mut sector, 510, &[0x55, 0xaa]);
    sector
}

/// Writes the marker to the first serial port and halts; 16-bit code.
fn bios_program() -> Vec<u8> {
    const LENGTH: usize = 21;
    let text = (0x7c00 + CODE_OFFSET + LENGTH) as u16;
    let mut code = vec![0x31, 0xc0, 0x8e, 0xd8, 0xbe]; // xor ax, ax; mov ds, ax; mov si, text
    code.extend(text.to_le_bytes());
    code.push(0xb9); // mov cx, length
    code.extend((MARKER.len() as u16).to_le_bytes());
    code.extend([0xba, 0xf8, 0x03, 0xfc]); // mov dx, 0x3f8; cld
    code.extend([0xac, 0xee, 0xe2, 0xfc]); // again: lodsb; out dx, al; loop again
    code.extend([0xf4, 0xeb, 0xfd]); // halt: hlt; jmp halt
    assert_eq!(code.len(), LENGTH);
    code.extend(MARKER.bytes());
    code
}

/// The same as a UEFI application: a PE32+ image with one section (Microsoft, "PE Format").
fn efi_program() -> Vec<u8> {
    let mut image = vec![0; 2 * SECTOR];
    put(&mut image, 0, b"MZ");
    image[60] = 64;
    put(&mut image, 64, b"PE\0\0\x64\x86\x01\0");
    put(&mut image, 84, &[0xf0, 0, 0x22, 0]); // size of the optional header; executable, large addresses
    let optional = 88;
    put(&mut image, optional, &[0x0b, 0x02]);
    for (offset, value) in [
        (4, 0x200u32), // size of code
        (16, 0x1000),  // entry point
        (20, 0x1000),  // base of code
        (32, 0x1000),  // alignment in memory
        (36, 0x200),   // alignment in the file
        (56, 0x2000),  // size in memory
        (60, 0x200),   // size of headers
        (68, 10),      // subsystem: UEFI application
        (108, 16),     // data directories, all empty: no relocation is needed
    ] {
        put(&mut image, optional + offset, &value.to_le_bytes());
    }
    let section = optional + 0xf0;
    put(&mut image, section, b".text");
    for (offset, value) in [(8, 0x200u32), (12, 0x1000), (16, 0x200), (20, 0x200), (36, 0x6000_0020)] {
        put(&mut image, section + offset, &value.to_le_bytes());
    }
    let mut code = vec![0x66, 0xba, 0xf8, 0x03, 0x48, 0x8d, 0x35, 14, 0, 0, 0, 0xb9]; // mov dx; lea rsi; mov ecx
    code.extend((MARKER.len() as u32).to_le_bytes());
    code.extend([0xac, 0xee, 0xff, 0xc9, 0x75, 0xfa]); // again: lodsb; out dx, al; dec ecx; jnz again
    code.extend([0xf4, 0xeb, 0xfd]); // halt: hlt; jmp halt
    code.extend(MARKER.bytes());
    put(&mut image, SECTOR, &code);
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bootable_disk_is_a_fat_volume_with_a_program() {
        let image = volume();
        assert_eq!(image[510..512], [0x55, 0xaa]);
        assert!(image[446..510].iter().all(|byte| *byte == 0), "this would be read as a partition table");
        assert_eq!(&image[cluster(PROGRAM)..][..2], b"MZ");
        assert!(image.windows(MARKER.len()).filter(|window| *window == MARKER.as_bytes()).count() == 2);
        let clusters = (usize::from(VOLUME_SECTORS) - DATA_SECTOR) / CLUSTER_SECTORS;
        assert!(clusters < 4085 && (clusters + 2) * 3 / 2 <= FAT_SECTORS * SECTOR, "{clusters} clusters");
    }
}
