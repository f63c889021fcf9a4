//! What runs on a machine: its part of `machine show`, and its word in `machine list`.

use std::io;

use ironwake_api::{Machine, MachineHost, Millis, Reachability};

use super::human;
use super::output::{Output, Style, clean};

/// When anything was last heard of a machine; of a silent host, since when it is silent.
pub fn seen(machine: &Machine, now: Millis) -> (String, Style) {
    match machine.host.as_deref() {
        Some(host) if host.reachability == Reachability::Silent => {
            (format!("silent, {}", human::ago(host.host.at, now)), Style::Bad)
        }
        _ => (machine.seen_at.map(|at| human::ago(at, now)).unwrap_or_default(), Style::Plain),
    }
}

/// Writes what is known of the host.
pub fn write(found: &MachineHost, output: &mut Output) -> io::Result<()> {
    let heading = output.styled("host", Style::Strong);
    output.line("")?;
    output.line(heading)?;
    for (name, value) in fields(found, human::now()) {
        let style = match name {
            "calls" if found.reachability == Reachability::Silent => Style::Bad,
            _ => Style::Plain,
        };
        let (name, value) =
            (output.styled(&format!("{name:10}"), Style::Faint), output.styled(&clean(&value), style));
        output.line(format!("  {name}{value}"))?;
    }
    Ok(())
}

fn fields(found: &MachineHost, now: Millis) -> Vec<(&'static str, String)> {
    let MachineHost { operation, host, heartbeat_secs, reachability } = found;
    let every = heartbeat_secs.map(|secs| human::duration(secs * 1000)).unwrap_or_default();
    let calls = match reachability {
        Reachability::Calling => format!("every {every}"),
        Reachability::Silent => format!("silent: it should every {every}"),
        Reachability::Unwatched => "as it likes: its profile names no interval".to_owned(),
    };
    let up = host.uptime_secs.map(|secs| format!("{} at that time", human::duration(secs * 1000)));
    let fields = [
        ("hostname", host.hostname.clone()),
        ("addresses", (!host.addresses.is_empty()).then(|| host.addresses.join(", "))),
        ("system", host.os.clone()),
        ("kernel", host.kernel.clone()),
        ("boot", host.boot_id.clone()),
        ("last call", Some(format!("{} from {}", human::ago(host.at, now), host.from))),
        ("up", up),
        ("calls", Some(calls)),
        ("operation", Some(operation.clone())),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

#[cfg(test)]
mod tests {
    use ironwake_api::Host;

    use super::*;

    #[test]
    fn a_host_is_told_line_by_line() {
        let host = MachineHost {
            operation: "o1".into(),
            host: Host {
                at: 1_000,
                from: "10.0.0.1".into(),
                addresses: vec!["10.0.0.1".into(), "2001:db8::1".into()],
                kernel: Some("6.12".into()),
                uptime_secs: Some(7_500),
                ..Host::default()
            },
            heartbeat_secs: Some(300),
            reachability: Reachability::Silent,
        };
        let expected = [
            ("addresses", "10.0.0.1, 2001:db8::1"),
            ("kernel", "6.12"),
            ("last call", "20 m ago from 10.0.0.1"),
            ("up", "2 h 05 m at that time"),
            ("calls", "silent: it should every 5 m 00 s"),
            ("operation", "o1"),
        ];
        assert_eq!(fields(&host, 1_201_000), expected.map(|(name, value)| (name, value.to_owned())));
    }
}
