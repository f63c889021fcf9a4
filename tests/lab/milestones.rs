//! Where a boot's time goes: its milestones, and what lies between them.

use std::fmt::Write as _;

use ironwake_api::{ClientStage, Event, EventKind, Millis, Stage, StageKind};

/// A milestone: its name, what the machine does on the way to it, and the event that marks it.
type Milestone = (&'static str, &'static str, fn(&EventKind) -> bool);

const MILESTONES: &[Milestone] = &[
    ("first DHCP message", "the firmware starts", |kind| {
        stage(kind, |stage| matches!(stage.kind, StageKind::Dhcp { .. }))
    }),
    ("loader fetched", "the firmware gathers offers and fetches its loader", |kind| {
        stage(kind, |stage| match &stage.kind {
            StageKind::Tftp { aborted, bytes, .. } => aborted.is_none() && *bytes > 0,
            StageKind::Http { method, status: 200, .. } => method == "GET",
            _ => false,
        })
    }),
    ("boot script served", "the loader starts and asks for its script", |kind| {
        stage(kind, |stage| match &stage.kind {
            StageKind::Http { plan, .. } => plan.is_some(),
            StageKind::Tftp { file, aborted: None, .. } => {
                ["autoexec.ipxe", "grub.cfg"].iter().any(|name| file.ends_with(name))
            }
            _ => false,
        })
    }),
    ("kernel fetched", "the loader fetches the kernel", |kind| fetched(kind, "vmlinuz")),
    ("initramfs fetched", "the loader fetches the initramfs", |kind| fetched(kind, "initramfs")),
    ("agent on the network", "the kernel starts, the agent loads modules and asks for an address", |kind| {
        stage(kind, |stage| stage.client == ClientStage::Agent)
    }),
    ("inventory in", "the agent reads the hardware and reports", |kind| {
        matches!(kind, EventKind::Inventory { .. })
    }),
];

fn stage(kind: &EventKind, fits: impl Fn(&Stage) -> bool) -> bool {
    matches!(kind, EventKind::AttemptStage { stage, .. } if fits(stage))
}

fn fetched(kind: &EventKind, file: &str) -> bool {
    stage(kind, |stage| {
        matches!(&stage.kind, StageKind::Http { method, path, status: 200, .. }
        if method == "GET" && path.contains(file))
    })
}

/// The milestones that were passed, with the time since power-on and since the one before.
pub fn table(events: &[Event], powered_at: Millis) -> String {
    let mut text = format!("{:<22} {:>9} {:>9}  what the time went to\n", "milestone", "at", "took");
    let mut before = powered_at;
    for (name, way, fits) in MILESTONES {
        let Some(event) = events.iter().find(|event| fits(&event.kind)) else {
            let _ = writeln!(text, "{name:<22} {:>9} {:>9}  {way}", "-", "-");
            continue;
        };
        let (at, took) = (event.at.saturating_sub(powered_at), event.at.saturating_sub(before));
        let _ = writeln!(text, "{name:<22} {:>7.2} s {:>7.2} s  {way}", secs(at), secs(took));
        before = event.at;
    }
    text
}

fn secs(millis: Millis) -> f64 {
    millis as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_milestone_that_was_not_passed_has_no_time() {
        let event = r#"{"id":1,"at":1500,"actor":"machine","kind":"attempt_stage","attempt":1,
            "mac":"52:54:00:00:00:01","detail":{"at":1500,"client":"firmware","stage":"dhcp",
            "message":"DISCOVER","why":"its loader"}}"#;
        let events = [serde_json::from_str(event).expect("an event")];
        let table = table(&events, 1000);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[1], "first DHCP message        0.50 s    0.50 s  the firmware starts");
        assert!(lines[2].starts_with("loader fetched                 -         -"), "{table}");
    }
}
