//! The flight recorder: stages of boot attempts, and what they say about a boot that failed.

use ironwake_api::{ClientStage, MacAddr, Millis, StageKind};

/// One thing that was seen of one machine's boot.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// When.
    pub at: Millis,
    /// The address that boots.
    pub mac: MacAddr,
    /// Which program spoke.
    pub client: ClientStage,
    /// Architecture's name, where the request says it.
    pub arch: Option<&'static str>,
    /// What happened.
    pub kind: StageKind,
}
