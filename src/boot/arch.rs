//! Client system architectures (IANA "Processor Architecture Types", RFC 5970 and option 93 of RFC 4578).

/// What starts the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Firmware {
    /// PC BIOS, real mode.
    Bios,
    /// UEFI.
    Uefi,
    /// The boot ROM of a Raspberry Pi.
    RaspberryPi,
}

/// How the firmware fetches its boot file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TFTP (PXE).
    Tftp,
    /// HTTP (UEFI HTTP Boot).
    Http,
}

/// Instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arch {
    /// 32-bit x86.
    Ia32,
    /// 64-bit x86.
    X64,
    /// 32-bit ARM.
    Arm32,
    /// 64-bit ARM.
    Arm64,
}

/// One row of the architecture table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchRow {
    /// The number in option 93.
    pub number: u16,
    /// The name used everywhere: `bios`, `uefi-x64`, `http-x64`, ...
    pub name: &'static str,
    /// Firmware.
    pub firmware: Firmware,
    /// Instruction set.
    pub arch: Arch,
    /// Transport.
    pub transport: Transport,
    /// The loader that Ironwake ships for it; `None` gets a named diagnosis.
    pub loader: Option<&'static str>,
    /// Where the first loader fails: another one.
    pub fallback: Option<&'static str>,
    /// The signed first stage for Secure Boot.
    pub shim: Option<&'static str>,
}

/// The loader, another one where it fails, and the signed first stage for Secure Boot.
type Loaders = (Option<&'static str>, Option<&'static str>, Option<&'static str>);

const NOTHING: Loaders = (None, None, None);
const BIOS: Loaders = (Some("undionly.kpxe"), Some("ipxe.pxe"), None);
const X64_EFI: Loaders = (Some("snponly.efi"), Some("ipxe.efi"), Some("shimx64.efi"));
const ARM64_EFI: Loaders = (Some("ipxe-arm64.efi"), None, None);

const fn row(
    number: u16,
    name: &'static str,
    firmware: Firmware,
    arch: Arch,
    transport: Transport,
    (loader, fallback, shim): Loaders,
) -> ArchRow {
    ArchRow { number, name, firmware, arch, transport, loader, fallback, shim }
}

use Arch::*;
use Firmware::*;
use Transport::*;

/// Every architecture that network firmware announces. 7 and 9 are both x64: the registry and the
/// UEFI specification disagree, and firmware exists for each.
pub const ARCHES: &[ArchRow] = &[
    row(0, "bios", Bios, Ia32, Tftp, BIOS),
    row(6, "uefi-ia32", Uefi, Ia32, Tftp, NOTHING),
    row(7, "uefi-x64", Uefi, X64, Tftp, X64_EFI),
    row(9, "uefi-x64-ebc", Uefi, X64, Tftp, X64_EFI),
    row(10, "uefi-arm32", Uefi, Arm32, Tftp, NOTHING),
    row(11, "uefi-arm64", Uefi, Arm64, Tftp, ARM64_EFI),
    row(15, "http-ia32", Uefi, Ia32, Http, NOTHING),
    row(16, "http-x64", Uefi, X64, Http, X64_EFI),
    row(18, "http-arm32", Uefi, Arm32, Http, NOTHING),
    row(19, "http-arm64", Uefi, Arm64, Http, ARM64_EFI),
    row(41, "raspberry-pi", RaspberryPi, Arm64, Tftp, NOTHING),
];

impl ArchRow {
    /// The row of a number in option 93.
    pub fn by_number(number: u16) -> Option<&'static Self> {
        ARCHES.iter().find(|row| row.number == number)
    }

    /// The row of a name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        ARCHES.iter().find(|row| row.name == name)
    }
}
