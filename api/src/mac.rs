//! Ethernet addresses as text: read in every common spelling, written in one.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// An Ethernet (MAC-48) address. Written `52:54:00:12:34:56`; read with `:`, `-`, `.` or nothing between.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

/// Why a text is not a MAC address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacError {
    found: String,
}

impl fmt::Display for MacError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a MAC address: expected six bytes in hexadecimal, such as 52:54:00:12:34:56",
            self.found
        )
    }
}

impl std::error::Error for MacError {}

impl MacAddr {
    /// The address with dashes, as iPXE's `${mac:hexhyp}` writes it and URLs carry it.
    pub fn dashed(&self) -> String {
        self.to_string().replace(':', "-")
    }

    /// Whether this can be the address of one interface: not all zeros, not broadcast or multicast.
    pub fn is_unicast(&self) -> bool {
        self.0 != [0; 6] && self.0[0] & 1 == 0
    }
}

impl FromStr for MacAddr {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let wrong = || MacError { found: text.chars().take(40).collect() };
        let separators = text.bytes().filter(|b| matches!(b, b':' | b'-' | b'.')).count();
        let digits: Vec<u8> = text.bytes().filter(|b| !matches!(b, b':' | b'-' | b'.')).collect();
        if digits.len() != 12 || !matches!(separators, 0 | 2 | 5) {
            return Err(wrong());
        }
        let group = match separators {
            5 => 2,
            2 => 4,
            _ => 12,
        };
        if !text.split([':', '-', '.']).all(|part| part.len() == group) {
            return Err(wrong());
        }
        let mut bytes = [0; 6];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let high = (pair[0] as char).to_digit(16).ok_or_else(wrong)?;
            let low = (pair[1] as char).to_digit(16).ok_or_else(wrong)?;
            *byte = (high << 4 | low) as u8;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for MacAddr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MacAddr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(feature = "openapi")]
mod schema {
    use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};

    impl utoipa::PartialSchema for super::MacAddr {
        fn schema() -> RefOr<Schema> {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .pattern(Some("^[0-9a-f]{2}(:[0-9a-f]{2}){5}$"))
                .examples(["52:54:00:12:34:56"])
                .into()
        }
    }

    impl utoipa::ToSchema for super::MacAddr {
        fn name() -> std::borrow::Cow<'static, str> {
            "MacAddr".into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(text.parse::<MacAddr>().ok().map(|mac| mac.to_string()).as_deref(), expected, "{text}");
    }

    #[test]
    fn every_common_spelling_is_read_and_one_is_written() {
        check("52:54:00:AB:cd:ef", Some("52:54:00:ab:cd:ef"));
        check("52-54-00-ab-cd-ef", Some("52:54:00:ab:cd:ef"));
        check("5254.00ab.cdef", Some("52:54:00:ab:cd:ef"));
        check("525400abcdef", Some("52:54:00:ab:cd:ef"));
        check("52:54:00:ab:cd", None);
        check("52:54:00:ab:cd:eg", None);
        check("5:254:00:ab:cd:ef", None);
        check("52:54:00:ab:cd:ef:00", None);
        check("", None);
    }
}
