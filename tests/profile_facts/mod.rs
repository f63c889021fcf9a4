//! A machine, its disk and a server, for profiles that are rendered in tests.

use std::collections::BTreeMap;

use ironwake::profile::{
    Architecture, DiskFacts, Facts, Firmware, MachineFacts, OperationFacts, ServerFacts, Urls,
};

/// Facts as an operation has them.
pub fn facts() -> Facts {
    let server = "http://10.0.0.1:8080";
    Facts {
        hostname: "node-1".into(),
        machine: MachineFacts {
            id: "0197a1b2-0000-7000-8000-000000000001".into(),
            name: "node-1".into(),
            architecture: Architecture::Amd64,
            firmware: Firmware::Uefi,
            macs: vec!["52:54:00:12:34:56".parse().expect("a MAC")],
            boot_mac: "52:54:00:12:34:56".parse().expect("a MAC"),
            address: Some([10, 0, 0, 50].into()),
        },
        operation: OperationFacts {
            id: "0197a1b2-0000-7000-8000-000000000002".into(),
            ssh_key: Some(format!("ssh-ed25519 {} ironwake", "A".repeat(68))),
            heartbeat_secs: Some(300),
        },
        disk: Some(DiskFacts {
            path: "/dev/sda".into(),
            name: "sda".into(),
            serial: Some("QM00001".into()),
            size_bytes: 17_179_869_184,
        }),
        server: ServerFacts { url: server.into() },
        urls: Urls {
            files: format!("{server}/boot/v1/files/0123456789abcdef/"),
            phone_home: format!("{server}/boot/v1/phone-home/0123456789abcdef"),
            installed: format!("{server}/boot/v1/installed/0123456789abcdef"),
            heartbeat: format!("{server}/boot/v1/heartbeat/0123456789abcdef"),
        },
        artifacts: BTreeMap::from([(
            "ubuntu-24.04/live-server.iso".to_owned(),
            format!("{server}/artifacts/aa/live-server.iso"),
        )]),
    }
}
