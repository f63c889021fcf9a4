//! Walking an SMBIOS table, structure by structure (DSP0134, 6.1).

use crate::inventory::sysfs;

/// Structures in one table at most: the largest servers have about 600.
const STRUCTURES_MAX: usize = 8192;
/// Type, length, handle.
const HEADER_BYTES: usize = 4;
/// The structure that ends a table.
const END_OF_TABLE: u8 = 127;

/// The version of SMBIOS that a table follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Major version.
    pub major: u8,
    /// Minor version.
    pub minor: u8,
}

impl Version {
    /// Reads an entry point (`_SM3_`, `_SM_` or `_DMI_`); `None` if it is none of them.
    pub fn parse(entry_point: &[u8]) -> Option<Self> {
        let byte = |at: usize| entry_point.get(at).copied();
        if entry_point.starts_with(b"_SM3_") {
            Some(Self { major: byte(7)?, minor: byte(8)? })
        } else if entry_point.starts_with(b"_SM_") {
            Some(Self { major: byte(6)?, minor: byte(7)? })
        } else if entry_point.starts_with(b"_DMI_") {
            let decimal = byte(14)?;
            Some(Self { major: decimal >> 4, minor: decimal & 15 })
        } else {
            None
        }
    }
}

/// One structure: its fixed part, and the strings behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Structure<'a> {
    fixed: &'a [u8],
    strings: &'a [u8],
}

impl<'a> Structure<'a> {
    /// Its type.
    pub fn kind(&self) -> u8 {
        self.fixed[0]
    }

    /// One byte of the fixed part.
    pub fn byte(&self, at: usize) -> Option<u8> {
        self.fixed.get(at).copied()
    }

    /// Two bytes of the fixed part, little-endian.
    pub fn word(&self, at: usize) -> Option<u16> {
        Some(u16::from_le_bytes(self.fixed.get(at..at + 2)?.try_into().ok()?))
    }

    /// Four bytes of the fixed part, little-endian.
    pub fn double(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.fixed.get(at..at + 4)?.try_into().ok()?))
    }

    /// Bytes of the fixed part.
    pub fn bytes(&self, at: usize, length: usize) -> Option<&'a [u8]> {
        self.fixed.get(at..at.checked_add(length)?)
    }

    /// The string whose number stands at this place of the fixed part.
    pub fn string(&self, at: usize) -> Option<String> {
        let number = usize::from(self.byte(at)?);
        let string = self.strings.split(|&byte| byte == 0).nth(number.checked_sub(1)?)?;
        sysfs::clean(string)
    }
}

/// The structures of a table, in order, as far as it can be walked.
#[derive(Debug, Clone)]
pub struct Structures<'a> {
    rest: &'a [u8],
    walked: usize,
    note: Option<&'static str>,
}

impl<'a> Structures<'a> {
    /// Begins a walk.
    pub fn of(table: &'a [u8]) -> Self {
        Self { rest: table, walked: 0, note: None }
    }

    /// What stopped the walk before the table's end, once it has stopped.
    pub fn note(&self) -> Option<&'static str> {
        self.note
    }

    fn stop(&mut self, note: &'static str) -> Option<Structure<'a>> {
        self.note = Some(note);
        self.rest = &[];
        None
    }
}

impl<'a> Iterator for Structures<'a> {
    type Item = Structure<'a>;

    fn next(&mut self) -> Option<Structure<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        if self.walked == STRUCTURES_MAX {
            return self.stop("it has more structures than any machine can have");
        }
        let Some(&[kind, length]) = self.rest.get(..2).and_then(|header| header.as_array()) else {
            return self.stop("it ends within a structure");
        };
        let length = usize::from(length);
        if kind == END_OF_TABLE {
            self.rest = &[];
            return None;
        }
        if length < HEADER_BYTES {
            return self.stop("a structure is shorter than its own header");
        }
        let Some((fixed, behind)) = self.rest.split_at_checked(length) else {
            return self.stop("it ends within a structure");
        };
        self.walked += 1;
        // Two zeros end the strings, also where there is no string at all.
        match behind.windows(2).position(|pair| pair == [0, 0]) {
            Some(end) => {
                self.rest = &behind[end + 2..];
                Some(Structure { fixed, strings: &behind[..end] })
            }
            None => {
                self.stop("it ends within a structure's strings");
                Some(Structure { fixed, strings: behind })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(table: &[u8], kinds: &[u8], note: Option<&str>) {
        let mut structures = Structures::of(table);
        let found: Vec<u8> = structures.by_ref().map(|structure| structure.kind()).collect();
        assert_eq!((found.as_slice(), structures.note()), (kinds, note), "{table:?}");
    }

    #[test]
    fn good_and_broken_tables_are_walked() {
        check(b"\x01\x05\0\0\x01one\0\0\x0b\x04\0\0\0\0\x7f\x04\0\0\0\0\x02\x04\0\0\0\0", &[1, 11], None);
        check(b"\x01\x05\0\0\x01one\0\0", &[1], None);
        check(b"", &[], None);
        check(b"\x01\x05\0\0\x01one", &[1], Some("it ends within a structure's strings"));
        check(b"\x01\x20\0\0", &[], Some("it ends within a structure"));
        check(b"\x01", &[], Some("it ends within a structure"));
        check(b"\x01\x00\0\0\0\0", &[], Some("a structure is shorter than its own header"));
        let endless = b"\x0b\x04\0\0\0\0".repeat(STRUCTURES_MAX + 1);
        check(&endless, &[11; STRUCTURES_MAX], Some("it has more structures than any machine can have"));
    }

    #[test]
    fn strings_are_counted_from_one() {
        let structure =
            Structures::of(b"\x01\x09\0\0\x01\x02\x03\x00\xffone\0 two \0\0").next().expect("one");
        let strings: Vec<Option<String>> = (4..10).map(|at| structure.string(at)).collect();
        assert_eq!(strings, [Some("one".into()), Some("two".into()), None, None, None, None]);
    }

    #[test]
    fn versions() {
        assert_eq!(Version::parse(b"_SM3_\0\x18\x03\x02\0"), Some(Version { major: 3, minor: 2 }));
        assert_eq!(Version::parse(b"_SM_\0\x1f\x02\x08"), Some(Version { major: 2, minor: 8 }));
        assert_eq!(Version::parse(b"_DMI_\0\0\0\0\0\0\0\0\0\x24"), Some(Version { major: 2, minor: 4 }));
        assert_eq!(Version::parse(b"_SM3_"), None);
        assert_eq!(Version::parse(b""), None);
    }

    proptest! {
        #[test]
        fn any_table_is_walked(table in proptest::collection::vec(any::<u8>(), 0..400)) {
            for structure in Structures::of(&table) {
                structure.string(4);
                structure.bytes(8, 16);
            }
        }
    }
}
