//! Which settings there are: a key that somebody types is one of them, or is told what is near it.

use ironwake_api::{Setting, SettingOrigin, Settings};

use super::setting::{Part, parts};

/// Every key of the configuration file; `[]` is any place of a list of tables, `*` any name.
const KEYS: &[&str] = &[
    "state",
    "socket",
    "console_socket",
    "ssh_socket",
    "profiles",
    "http.listen",
    "api.listen",
    "api.names",
    "api.certificate",
    "api.key",
    "console.lock_after",
    "console.authorized_keys",
    "network[].interface",
    "network[].dhcp",
    "network[].range",
    "network[].subnet",
    "network[].router",
    "network[].dns",
    "network[].domain",
    "network[].lease_time",
    "network[].allow_rogue",
    "network[].next_server",
    "network[].tftp",
    "network[].secure_boot",
    "network[].reservation[].mac",
    "network[].reservation[].address",
    "network[].reservation[].hostname",
    "network[].relayed[].subnet",
    "network[].relayed[].range",
    "network[].relayed[].router",
    "discovery.enabled",
    "discovery.idle_reboot",
    "discovery.rediscover_after",
    "discovery.kernel_parameters",
    "hostnames.pattern",
    "hostnames.pool",
    "values.*",
    "tag.*.values.*",
    "artifacts.max_size",
    "artifacts.keep",
    "enrolment.policy",
    "enrolment.rule[].name",
    "enrolment.rule[].manufacturer",
    "enrolment.rule[].product",
    "enrolment.rule[].serial",
    "enrolment.rule[].subnet",
    "enrolment.rule[].tags",
    "enrolment.rule[].add_tags",
    "webhook[].name",
    "webhook[].url",
    "webhook[].ca_file",
    "webhook[].events",
    "webhook[].secret",
    "webhook[].secret_file",
    "webhook[].secret_credential",
    "registration.url",
    "registration.method",
    "registration.headers",
    "registration.headers_file",
    "registration.template",
    "update.url",
];
/// Keys without a default that are listed all the same, with what they come to: whoever looks for how the API is switched on
/// finds it there.
const UNSET: &[(&str, &str)] =
    &[("api.certificate", ""), ("api.key", ""), ("api.listen", ""), ("api.names", "[]")];
/// Near ones that are told.
const NEAR_MAX: usize = 3;
/// Letters in which a near one differs.
const DISTANCE_MAX: usize = 3;

/// Settings with those that nobody has set and that have no default.
pub fn with_unset(mut settings: Settings) -> Settings {
    for (key, value) in UNSET {
        if settings.settings.iter().all(|setting| setting.key != *key) {
            let (key, value) = ((*key).to_owned(), (*value).to_owned());
            settings.settings.push(Setting { key, value, origin: SettingOrigin::Default, place: None });
        }
    }
    settings.settings.sort_by(|a, b| a.key.cmp(&b.key));
    settings
}

/// Whether a key is one of a setting; else the nearest that are, or what one looks like.
pub fn check(key: &str) -> Result<(), String> {
    let parts = parts(key)?;
    if KEYS.iter().any(|known| fits(known, &parts)) {
        return Ok(());
    }
    let near = near(key);
    let near = if near.is_empty() { vec!["http.listen", "tag.\"rack=a\".values.port"] } else { near };
    Err(format!("{key} is no setting: such are {}", near.join(", ")))
}

fn fits(known: &str, parts: &[Part]) -> bool {
    let known = known.replace("[]", ".[]");
    let known: Vec<&str> = known.split('.').collect();
    known.len() == parts.len()
        && known.iter().zip(parts).all(|(known, part)| match part {
            Part::Name(name) => known == name || *known == "*",
            Part::Place(_) => *known == "[]",
        })
}

fn near(key: &str) -> Vec<&'static str> {
    let typed = key.to_lowercase();
    let last = typed.rsplit('.').next().unwrap_or_default();
    let mut near: Vec<(usize, &str)> = KEYS
        .iter()
        .filter_map(|known| {
            let name = known.rsplit('.').next().unwrap_or_default();
            let distance = distance(&typed, known).min(distance(last, name) + 1);
            (distance <= DISTANCE_MAX || known.contains(typed.as_str())).then_some((distance, *known))
        })
        .collect();
    near.sort_unstable();
    near.into_iter().take(NEAR_MAX).map(|(_, known)| known).collect()
}

/// How many letters have to be put in, left out or changed to make one of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = place + 1;
        for column in 0..other.len() {
            let changed = diagonal + usize::from(letter != other[column]);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_or_told_what_is_near() {
        for known in [
            "api.listen",
            "network[3].relayed[0].range",
            "tag.\"rack=7\".values.timezone",
            "values.a",
            "webhook[0].url",
        ] {
            assert_eq!(check(known), Ok(()), "{known}");
        }
        let said = |key: &str| check(key).expect_err("it is none");
        assert!(said("api.lisen").contains("such are api.listen"), "{}", said("api.lisen"));
        assert!(said("listen").contains("api.listen, http.listen"), "{}", said("listen"));
        assert!(said("htp.listen").contains("http.listen"));
        assert!(said("hello world").contains("tag.\"rack=a\".values.port"));
        assert!(said("network.dhcp").contains("network[].dhcp"));
        assert!(said("a..b").contains("is no setting"));
        for letters in [("", "abc", 3), ("abc", "abc", 0), ("listen", "lisen", 1), ("ab", "ba", 2)] {
            assert_eq!(distance(letters.0, letters.1), letters.2, "{letters:?}");
        }
    }

    /// Keys of the configuration file with every key in it, by its tables.
    #[test]
    fn every_key_of_the_reference_is_known() {
        let text = include_str!("../../../systemd/etc/ironwake/ironwake.toml");
        let (mut table, mut count) = (String::new(), 0);
        for line in text.lines() {
            let bare = line.trim_start_matches('#').trim_start();
            let bare = bare.strip_prefix("example: ").unwrap_or(bare);
            let is_table = bare.starts_with('[') && bare.ends_with(']') && !bare.contains(' ');
            if let Some(name) = bare.strip_prefix("[[").filter(|_| is_table) {
                // Networks are a list themselves.
                let name = name.trim_end_matches(']').replace("network.", "network[0].");
                table = format!("{name}[0].");
            } else if is_table {
                table = format!("{}.", &bare[1..bare.len() - 1]);
            } else if let Some((name, _)) = bare.split_once(" = ").filter(|(name, _)| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            }) {
                let key = format!("{table}{name}");
                assert_eq!(check(&key), Ok(()), "{line}");
                count += 1;
            }
        }
        assert!(count > 50, "{count} keys");
    }
}
