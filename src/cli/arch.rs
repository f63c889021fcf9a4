//! `--arch`: firmware and architecture, by name or by number.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;

use crate::boot::{ARCHES, ArchRow};

/// Reads a name of [`ARCHES`] or a number of option 93, which is what a packet capture shows. Anything
/// else is answered with the names.
#[derive(Debug, Clone, Copy)]
pub struct ArchParser;

impl TypedValueParser for ArchParser {
    type Value = &'static ArchRow;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, clap::Error> {
        let number = value.to_str().and_then(|text| text.parse().ok());
        if let Some(row) = number.and_then(ArchRow::by_number) {
            return Ok(row);
        }
        let names = PossibleValuesParser::new(ARCHES.iter().map(|row| row.name));
        let name = names.parse_ref(command, argument, value)?;
        ArchRow::by_name(&name).ok_or_else(|| clap::Error::new(ErrorKind::InvalidValue).with_cmd(command))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(ARCHES.iter().map(|row| PossibleValue::new(row.name))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<u16>) {
        let parsed = ArchParser.parse_ref(&clap::Command::new("ironwake"), None, OsStr::new(text));
        assert_eq!(parsed.ok().map(|row| row.number), expected, "{text}");
    }

    #[test]
    fn names_and_numbers_are_read() {
        for row in ARCHES {
            check(row.name, Some(row.number));
            check(&row.number.to_string(), Some(row.number));
        }
    }

    #[test]
    fn what_is_in_no_table_is_answered_with_the_names() {
        for text in ["pdp11", "5", "65536", "-7", "", "uefi"] {
            check(text, None);
        }
        let error = ArchParser.parse_ref(&clap::Command::new("ironwake"), None, OsStr::new("5")).unwrap_err();
        let shown = error.to_string();
        assert!(ARCHES.iter().all(|row| shown.contains(row.name)), "{shown}");
    }
}
