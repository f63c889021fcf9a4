//! Values of a profile's variables as they are typed: what is wrong with one, and what it is in JSON.

use std::net::IpAddr;

use serde_json::{Value, json};

/// RFC 1035, section 2.3.4.
const LABEL_CHARS_MAX: usize = 63;
/// RFC 1035, section 2.3.4: 255 octets with lengths and root.
const HOSTNAME_CHARS_MAX: usize = 253;

/// What is wrong with a text as a value of a kind, and what would be right.
pub fn wrong(kind: &str, text: &str) -> Option<String> {
    let text = text.trim();
    let right = match kind {
        "integer" => text.parse::<i64>().is_ok(),
        "boolean" => matches!(text, "true" | "false"),
        "hostname" => is_hostname(text),
        "address" => text.parse::<IpAddr>().is_ok(),
        "cidr" => is_cidr(text),
        "ssh_keys" => keys(text).iter().all(|key| is_ssh_key(key)),
        _ => true,
    };
    let expected = match kind {
        "integer" => "a whole number, such as 42",
        "boolean" => "true or false",
        "hostname" => "letters, digits and dashes, such as node-1 or example.org",
        "address" => "an address, such as 10.0.0.1",
        "cidr" => "an address with its prefix length, such as 10.0.0.5/24",
        "ssh_keys" => "public keys with commas between, each like ssh-ed25519 AAAA… name",
        _ => "",
    };
    (!right).then(|| format!("expected {expected}"))
}

/// What a text is in JSON as a value of a kind.
pub fn parse(kind: &str, text: &str) -> Value {
    let trimmed = text.trim();
    match kind {
        "integer" => trimmed.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number)),
        "boolean" if matches!(trimmed, "true" | "false") => json!(trimmed == "true"),
        "list" | "ssh_keys" => json!(keys(text)),
        "hostname" | "address" | "cidr" | "choice" => json!(trimmed),
        _ => json!(text),
    }
}

fn keys(text: &str) -> Vec<String> {
    text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        (1..=LABEL_CHARS_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= HOSTNAME_CHARS_MAX && text.split('.').all(label)
}

fn is_cidr(text: &str) -> bool {
    let Some((address, prefix)) = text.split_once('/') else { return false };
    match (address.parse::<IpAddr>(), prefix.parse::<u8>()) {
        (Ok(IpAddr::V4(_)), Ok(bits)) => bits <= 32,
        (Ok(IpAddr::V6(_)), Ok(bits)) => bits <= 128,
        _ => false,
    }
}

fn is_ssh_key(text: &str) -> bool {
    let mut parts = text.split_whitespace();
    let kind = parts.next().unwrap_or_default();
    let known = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|start| kind.starts_with(start));
    known && parts.next().is_some_and(|data| data.starts_with("AAAA"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: &str, text: &str, right: bool, value: Value) {
        assert_eq!((wrong(kind, text).is_none(), parse(kind, text)), (right, value), "{kind} {text:?}");
    }

    #[test]
    fn values_are_checked_by_their_kind() {
        check("integer", " 42", true, json!(42));
        check("integer", "4x", false, json!("4x"));
        check("boolean", "true", true, json!(true));
        check("boolean", "yes", false, json!("yes"));
        check("hostname", "node-1.example.org", true, json!("node-1.example.org"));
        check("hostname", "-node", false, json!("-node"));
        check("hostname", "a..b", false, json!("a..b"));
        check("address", "fe80::1", true, json!("fe80::1"));
        check("address", "10.0.0", false, json!("10.0.0"));
        check("cidr", "10.0.0.5/24", true, json!("10.0.0.5/24"));
        check("cidr", "10.0.0.5/33", false, json!("10.0.0.5/33"));
        check("list", "a, b,,", true, json!(["a", "b"]));
        check("ssh_keys", "ssh-ed25519 AAAAC3 anna", true, json!(["ssh-ed25519 AAAAC3 anna"]));
        check("ssh_keys", "anna", false, json!(["anna"]));
        check("string", " as it is ", true, json!(" as it is "));
    }
}
