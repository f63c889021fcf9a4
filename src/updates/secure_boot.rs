//! Whether the firmware starts only what is signed, and whether a kernel is.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// The firmware's variable (UEFI 2.10, section 3.3), as efivarfs has it: four bytes of attributes, and 1 where Secure Boot is on.
const VARIABLE: &str = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
const ATTRIBUTES_BYTES: usize = 4;

// Microsoft's PE format: where an MS-DOS stub says that the PE header begins, and what lies behind that.
const PE_HEADER_AT: u64 = 0x3c;
const MAGIC: &[u8] = b"PE\0\0";
const OPTIONAL_HEADER: u64 = 24;
const PE32_PLUS: u16 = 0x20b;
/// Of the certificates' table in the optional header of PE32+: its place in the file, and then its size, of four bytes each.
const CERTIFICATES_AT: u64 = 144;

/// Whether Secure Boot is on. A firmware without the variable has none.
pub fn is_on(efivars: &Path) -> bool {
    fs::read(efivars.join(VARIABLE)).is_ok_and(|value| value.get(ATTRIBUTES_BYTES) == Some(&1))
}

/// Whether a program for UEFI has a signature. Whether it is one that counts, the firmware judges.
pub fn is_signed(program: &File) -> io::Result<bool> {
    let (mut number, mut short) = ([0; 4], [0; 2]);
    program.read_exact_at(&mut number, PE_HEADER_AT)?;
    let header = u64::from(u32::from_le_bytes(number));
    program.read_exact_at(&mut number, header)?;
    program.read_exact_at(&mut short, header + OPTIONAL_HEADER)?;
    if number != MAGIC || u16::from_le_bytes(short) != PE32_PLUS {
        return Err(io::Error::other("it is no program for UEFI on a 64-bit processor"));
    }
    program.read_exact_at(&mut number, header + OPTIONAL_HEADER + CERTIFICATES_AT + 4)?;
    Ok(u32::from_le_bytes(number) > 0)
}
