//! Single values: what each kind of text means, and what would be right where it means nothing.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::Ipv4Net;
use toml::de::DeValue;

use super::finding::{Findings, nearest};
use super::section::{At, Value, describe, shorten};

/// A mistake in a text: what is wrong, and what would be right.
pub(crate) type Wrong = (String, String);

/// Items of one list: routers, name servers, ranges, tags.
const LIST_ITEMS_MAX: usize = 64;

/// A string that `parse` understands.
pub(crate) fn text<T>(
    value: &Value<'_>,
    findings: &mut Findings,
    example: &str,
    parse: impl FnOnce(&str) -> Result<T, Wrong>,
) -> Option<T> {
    let wrong = match value.get_ref() {
        DeValue::String(text) => match parse(text) {
            Ok(parsed) => return Some(parsed),
            Err(wrong) => wrong,
        },
        other => (format!("found {}, expected a string", describe(other)), format!("such as {example:?}")),
    };
    findings.add(value.span(), wrong.0, wrong.1);
    None
}

/// One string, or a list of them, that `parse` understands.
pub(crate) fn texts<T>(
    value: &Value<'_>,
    findings: &mut Findings,
    example: &str,
    parse: impl Fn(&str) -> Result<T, Wrong>,
) -> Option<Vec<At<T>>> {
    list(value, findings, |value, findings| text(value, findings, example, &parse))
}

/// The same, where nobody is shown any.
pub(crate) fn secrets<T>(
    value: &Value<'_>,
    findings: &mut Findings,
    parse: impl Fn(&str) -> Result<T, Wrong>,
) -> Option<Vec<At<T>>> {
    findings.veil(value.span());
    list(value, findings, |value, findings| secret(value, findings, &parse))
}

/// One value, or a list of them, that `read` understands.
fn list<T>(
    value: &Value<'_>,
    findings: &mut Findings,
    read: impl Fn(&Value<'_>, &mut Findings) -> Option<T>,
) -> Option<Vec<At<T>>> {
    let DeValue::Array(items) = value.get_ref() else {
        return read(value, findings).map(|one| vec![At { value: one, span: value.span() }]);
    };
    if items.len() > LIST_ITEMS_MAX {
        let message = format!("found a list of {} items", items.len());
        findings.add(value.span(), message, format!("at most {LIST_ITEMS_MAX} are taken"));
        return None;
    }
    // Every item is read even after a bad one, so that each is reported.
    let read: Vec<Option<At<T>>> =
        items.iter().map(|item| Some(At { value: read(item, findings)?, span: item.span() })).collect();
    read.into_iter().collect()
}

/// A string that `parse` understands and that nobody is shown; its mistakes must not repeat it.
pub(crate) fn secret<T>(
    value: &Value<'_>,
    findings: &mut Findings,
    parse: impl FnOnce(&str) -> Result<T, Wrong>,
) -> Option<T> {
    findings.veil(value.span());
    let wrong = match value.get_ref() {
        DeValue::String(text) => match parse(text) {
            Ok(parsed) => return Some(parsed),
            Err(wrong) => wrong,
        },
        _ => ("this is no string".into(), "put it into quotes".into()),
    };
    findings.add(value.span(), wrong.0, wrong.1);
    None
}

/// `true` or `false`.
pub(crate) fn boolean(value: &Value<'_>, findings: &mut Findings) -> Option<bool> {
    if let DeValue::Boolean(on) = value.get_ref() {
        return Some(*on);
    }
    let message = format!("found {}, expected true or false", describe(value.get_ref()));
    findings.add(value.span(), message, "write true or false, without quotes".to_owned());
    None
}

/// One of a few words.
pub(crate) fn word<T: Copy>(text: &str, words: &[(&'static str, T)]) -> Result<T, Wrong> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let help = match nearest(text, &names) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => {
            format!("one of {}", names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "))
        }
    };
    Err((format!("{} is not one of the choices", quoted(text)), help))
}

pub(crate) fn quoted(text: &str) -> String {
    format!("{:?}", shorten(text))
}

/// A whole number and a unit: `90s`, `10m`, `12h`, `7d`.
pub(crate) fn duration(text: &str, bounds: RangeInclusive<Duration>) -> Result<Duration, Wrong> {
    let help = || "a whole number and s, m, h or d: \"90s\", \"10m\", \"12h\", \"7d\"".to_owned();
    let wrong = || (format!("{} is not a duration", quoted(text)), help());
    let unit = text.chars().last().ok_or_else(wrong)?;
    let unit_secs: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let digits = &text[..text.len() - unit.len_utf8()];
    // `parse` alone would take "+5".
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let read = Duration::from_secs(number.checked_mul(unit_secs).ok_or_else(wrong)?);
    if bounds.contains(&read) {
        return Ok(read);
    }
    let limit = if read < *bounds.start() {
        ("short", "least", bounds.start())
    } else {
        ("long", "most", bounds.end())
    };
    Err((format!("{} is too {}", quoted(text), limit.0), format!("at {} {}s", limit.1, limit.2.as_secs())))
}

/// An IPv4 address that one machine can have.
pub(crate) fn address(text: &str) -> Result<Ipv4Addr, Wrong> {
    let help = || "four numbers from 0 to 255, such as \"10.0.0.1\"".to_owned();
    let read: Ipv4Addr =
        text.parse().map_err(|_| (format!("{} is not an IPv4 address", quoted(text)), help()))?;
    if is_unicast(read) {
        return Ok(read);
    }
    Err((format!("{read} is not the address of a machine"), "a unicast address, such as \"10.0.0.1\"".into()))
}

pub(crate) fn is_unicast(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    (1..224).contains(&first) && first != 127
}

/// A network such as `10.0.0.0/16`.
pub(crate) fn network(text: &str) -> Result<Ipv4Net, Wrong> {
    let help = "a network and its prefix length, such as \"10.0.0.0/16\"";
    let read: Ipv4Net =
        text.parse().map_err(|_| (format!("{} is not a network", quoted(text)), help.to_owned()))?;
    if read.trunc() != read {
        let message = format!("{read} names an address in a network, not the network");
        return Err((message, format!("did you mean \"{}\"?", read.trunc())));
    }
    Ok(read)
}

/// A host name or domain (RFC 1123).
pub(crate) fn hostname(text: &str) -> Result<String, Wrong> {
    /// RFC 1035, section 2.3.4.
    const NAME_BYTES_MAX: usize = 253;
    const LABEL_BYTES_MAX: usize = 63;
    let label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() <= NAME_BYTES_MAX && text.split('.').all(label) {
        return Ok(text.to_owned());
    }
    let help = "letters, digits and `-` between dots, such as \"rack1.example.org\"".to_owned();
    Err((format!("{} is not a host name", quoted(text)), help))
}

/// A word or pattern of a rule; not empty, of reasonable length.
pub(crate) fn line(text: &str) -> Result<String, Wrong> {
    const LINE_CHARS_MAX: usize = 200;
    if text.trim().is_empty() || text.chars().count() > LINE_CHARS_MAX || text.chars().any(char::is_control) {
        let help = format!("one line of 1 to {LINE_CHARS_MAX} characters");
        return Err((format!("{} cannot be used", quoted(text)), help));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        let check = |text: &str, secs: Option<u64>| {
            let read = duration(text, Duration::ZERO..=Duration::from_secs(1_000_000));
            assert_eq!(read.ok().map(|read| read.as_secs()), secs, "{text}");
        };
        check("90s", Some(90));
        check("10m", Some(600));
        check("12h", Some(43_200));
        check("7d", Some(604_800));
        check("0s", Some(0));
        check("s", None);
        check("", None);
        check("12", None);
        check("+5s", None);
        check("1.5h", None);
        check("5µ", None);
        check("1000d", None);
        check("99999999999999999999s", None);
        check("9999999999999999999d", None);
    }
}
