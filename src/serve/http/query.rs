//! What a boot request says of its machine: the MAC in the path, the rest in the query.

use std::borrow::Cow;

use ironwake_api::MacAddr;
use thiserror::Error;

/// The longest value: SMBIOS strings end at 255 bytes in practice, and iPXE's settings with them.
const VALUE_BYTES_MAX: usize = 255;
/// Parameters in one query; iPXE is asked for about ten.
const PARAMETERS_MAX: usize = 32;

/// Why a boot request is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum QueryError {
    #[error("mac: {0}")]
    Mac(String),
    #[error("{field}: the value contains {what}, which iPXE would act on")]
    Unsafe { field: String, what: &'static str },
    #[error("{field}: the value has {bytes} bytes, at most {VALUE_BYTES_MAX} are taken")]
    Long { field: String, bytes: usize },
    #[error("the query has more than {PARAMETERS_MAX} parameters")]
    Many,
}

/// A machine as it describes itself. Empty values are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SelfDescription {
    pub uuid: Option<String>,
    pub serial: Option<String>,
    pub asset_tag: Option<String>,
}

/// Reads the MAC of a script's name: any spelling of it, with or without `.ipxe`.
pub(super) fn mac_of_name(name: &str) -> Result<MacAddr, QueryError> {
    let name = name.strip_suffix(".ipxe").unwrap_or(name);
    let mac: MacAddr = name.parse().map_err(|error: ironwake_api::MacError| QueryError::Mac(error.to_string()))?;
    match mac.is_unicast() {
        true => Ok(mac),
        false => Err(QueryError::Mac(format!("{mac} is not the address of one interface"))),
    }
}

/// Reads a query. Every value is checked, also of parameters that are not used here: iPXE expands
/// `${…}` and ends commands at newlines in whatever it is served, so none may come back in a script.
pub(super) fn describe(query: &str) -> Result<SelfDescription, QueryError> {
    let mut description = SelfDescription::default();
    for (count, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
        if count == PARAMETERS_MAX {
            return Err(QueryError::Many);
        }
        let (field, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (field, value) = (decode(field), decode(value));
        check(&field, &value)?;
        let target = match field.as_ref() {
            "uuid" => &mut description.uuid,
            "serial" => &mut description.serial,
            "asset" => &mut description.asset_tag,
            _ => continue,
        };
        *target = Some(value.trim()).filter(|value| !value.is_empty()).map(str::to_owned);
    }
    Ok(description)
}

fn check(field: &str, value: &str) -> Result<(), QueryError> {
    let what = if field.chars().chain(value.chars()).any(char::is_control) {
        "a control character"
    } else if field.contains("${") || value.contains("${") {
        "\"${\""
    } else if value.len() > VALUE_BYTES_MAX {
        return Err(QueryError::Long { field: shown(field), bytes: value.len() });
    } else {
        return Ok(());
    };
    Err(QueryError::Unsafe { field: shown(field), what })
}

/// A parameter's name as an error may repeat it.
fn shown(field: &str) -> String {
    field.chars().filter(|letter| letter.is_ascii_alphanumeric() || "_-".contains(*letter)).take(40).collect()
}

/// Percent-decodes; `+` stays, since iPXE's `:uristring` writes a space as `%20`. Bytes that are not
/// UTF-8, which junk SMBIOS strings hold, become U+FFFD.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let pair = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match pair {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = &tail[2..];
            }
            None => bytes.push(*first),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(query: &str, expected: &str) {
        let found = match describe(query) {
            Ok(SelfDescription { uuid, serial, asset_tag }) => {
                [uuid, serial, asset_tag].map(|value| value.unwrap_or("-".into())).join("|")
            }
            Err(error) => format!("error {error}"),
        };
        assert_eq!(found, expected, "{query}");
    }

    #[test]
    fn descriptions_are_decoded() {
        check("uuid=4c4c4544-0042-3510&serial=B5%20Q&asset=&arch=x86_64", "4c4c4544-0042-3510|B5 Q|-");
        check("serial=a+b&asset=%e4", "-|a+b|\u{fffd}");
        check("serial=100%&asset=%zz", "-|100%|%zz");
        check("", "-|-|-");
        check("serial=%20", "-|-|-");
    }

    #[test]
    fn what_ipxe_would_act_on_is_refused_with_its_field() {
        check("serial=%24%7Bnet0/mac%7D", "error serial: the value contains \"${\", which iPXE would act on");
        check("asset=a%0Aboot", "error asset: the value contains a control character, which iPXE would act on");
        check("product=${x}", "error product: the value contains \"${\", which iPXE would act on");
        check("uuid=%00", "error uuid: the value contains a control character, which iPXE would act on");
        let long = format!("serial={}", "a".repeat(256));
        check(&long, "error serial: the value has 256 bytes, at most 255 are taken");
        check(&"a=b&".repeat(33), "error the query has more than 32 parameters");
    }

    #[test]
    fn macs_are_read_in_every_spelling() {
        for name in ["52-54-00-12-34-56", "52:54:00:12:34:56", "52-54-00-12-34-56.ipxe", "525400123456"] {
            assert_eq!(mac_of_name(name), Ok(MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56])), "{name}");
        }
        for name in ["00-00-00-00-00-00", "ff-ff-ff-ff-ff-ff", "", "52-54-00-12-34", ".ipxe"] {
            assert!(mac_of_name(name).is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_query_panics_and_no_value_that_is_taken_is_unsafe(query in "[a-z=&%0-9$\\{}\\n]{0,80}") {
            if let Ok(description) = describe(&format!("serial={query}")) {
                let serial = description.serial.unwrap_or_default();
                let safe = !serial.contains("${") && !serial.chars().any(char::is_control);
                prop_assert!(safe, "{:?}", serial);
            }
        }
    }
}
