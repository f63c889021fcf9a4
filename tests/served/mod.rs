//! What machines are served from in a test: a site, a shelf of artifacts, and the stages that are recorded.

#![allow(dead_code, reason = "each test binary uses its part")]

#[path = "../site/mod.rs"]
mod site;

use std::net::Ipv4Addr;

use bytes::Bytes;
use ironwake::artifact::Digest;
use ironwake::artifacts::{Blob, Shelf};
use ironwake::serve::Backend;
use ironwake_api::{ClientStage, EventKind, MacAddr, StageKind};

pub use site::PATIENCE;
use site::TestSite;

/// The machine whose address loopback's is.
pub const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]);

/// Artifacts by name.
#[derive(Default)]
pub struct Folder(Shelf);

impl Folder {
    pub fn with(self, name: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        self.0.publish(Blob::new(name, bytes, digest));
        self
    }
}

/// A stage as it was recorded.
#[derive(Debug)]
pub struct Seen {
    pub mac: MacAddr,
    pub client: ClientStage,
    pub kind: StageKind,
}

/// What is recorded, in order; a stage that only repeats the one before is not told again.
pub struct Observed(TestSite);

impl Observed {
    pub async fn next(&mut self) -> Seen {
        let pick = |event: &EventKind| match event {
            EventKind::AttemptStage { mac, stage, .. } => {
                Some(Seen { mac: *mac, client: stage.client, kind: stage.kind.clone() })
            }
            _ => None,
        };
        self.0.next("stage of a boot", pick).await
    }
}

/// Serves `folder` to loopback, whose address is `mac`'s.
pub async fn backend(folder: Folder, mac: Option<MacAddr>) -> (Backend, Observed) {
    let test = TestSite::open().await;
    if let Some(mac) = mac {
        test.site.learn_address(mac, Ipv4Addr::LOCALHOST);
    }
    (Backend { files: folder.0, site: test.site.clone() }, Observed(test))
}

pub fn sha256(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

/// Bytes without a short period, so that any misplaced block shows.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}
