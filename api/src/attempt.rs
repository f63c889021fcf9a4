//! Boot attempts: one run of a machine through DHCP, TFTP, HTTP and the agent.

use serde::{Deserialize, Serialize};

use crate::{MacAddr, Millis, human};

/// Which program on the machine speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ClientStage {
    /// The firmware or a NIC's ROM.
    Firmware,
    /// iPXE.
    Ipxe,
    /// GRUB (or shim).
    Grub,
    /// Ironwake's agent.
    Agent,
    /// An installed operating system.
    Os,
}

impl ClientStage {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Firmware => "firmware",
            Self::Ipxe => "iPXE",
            Self::Grub => "GRUB",
            Self::Agent => "agent",
            Self::Os => "OS",
        }
    }
}

/// One boot attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attempt {
    /// Number; larger is later.
    pub id: i64,
    /// The machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The MAC address that boots.
    pub mac: MacAddr,
    /// Architecture as the firmware said it, such as `uefi-x64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// First stage.
    pub started_at: Millis,
    /// Last stage.
    pub last_at: Millis,
    /// How it stands.
    pub outcome: AttemptOutcome,
    /// What is wrong, where something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
    /// The stages in order; only where one attempt is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
}

/// How an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// Stages still come.
    Running,
    /// The agent reported the inventory.
    Inventoried,
    /// It was told to boot its disk.
    LocalBoot,
    /// Something failed, or it fell silent where it should not.
    Failed,
}

impl AttemptOutcome {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Inventoried => "inventoried",
            Self::LocalBoot => "local boot",
            Self::Failed => "failed",
        }
    }
}

/// Why an attempt failed, named, with a remedy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Diagnosis {
    /// Stable name, such as `no_loader_for_arch`.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// One stage of a boot attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Stage {
    /// When.
    pub at: Millis,
    /// Which program spoke.
    pub client: ClientStage,
    /// What happened.
    #[serde(flatten)]
    pub kind: StageKind,
    /// How many times more the same happened in a row.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeats: u32,
}

impl Stage {
    /// What happened, why, and how often.
    pub fn sentence(&self) -> String {
        let text = self.kind.sentence();
        match self.repeats {
            0 => text,
            more => format!("{text} ({} times)", more.saturating_add(1)),
        }
    }
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// What happened in a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum StageKind {
    /// A DHCP message and what was answered.
    Dhcp {
        /// Message type: `DISCOVER`, `REQUEST`, ...
        message: String,
        /// `OFFER`, `ACK`, `NAK`, or absent for silence.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<String>,
        /// Address offered or given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<String>,
        /// Boot file or URL offered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        /// Why this answer, or why none.
        why: String,
    },
    /// A TFTP transfer, when it ended.
    Tftp {
        /// File asked for.
        file: String,
        /// Bytes acknowledged.
        bytes: u64,
        /// Size of the file.
        size: u64,
        /// From request to end.
        duration_ms: u64,
        /// Windows sent again.
        retries: u32,
        /// Why it ended early.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        aborted: Option<String>,
    },
    /// An HTTP fetch, when it ended.
    Http {
        /// Method.
        method: String,
        /// Path with query.
        path: String,
        /// Status.
        status: u16,
        /// Body bytes handed to the network.
        bytes: u64,
        /// From request to end.
        duration_ms: u64,
        /// What was decided, for scripts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plan: Option<String>,
    },
    /// The agent said something.
    Agent {
        /// In a sentence.
        message: String,
        /// Something failed.
        #[serde(default)]
        failed: bool,
    },
    /// The inventory came in.
    Inventory {
        /// How many lines differ from the one before; absent for the first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        changes: Option<u32>,
    },
}

impl StageKind {
    /// What happened, and why.
    pub fn sentence(&self) -> String {
        match self {
            Self::Dhcp { message, answer, address, file, why } => {
                let mut text = format!("DHCP {message} → {}", answer.as_deref().unwrap_or("no answer"));
                for part in [address, file].into_iter().flatten() {
                    text.push_str(&format!(" {part}"));
                }
                if !why.is_empty() {
                    text.push_str(&format!(" ({why})"));
                }
                text
            }
            Self::Tftp { file, bytes, size, duration_ms, retries, aborted } => {
                let again =
                    if *retries > 0 { format!(", {retries} windows sent again") } else { String::new() };
                let (done, took) = (human::size(*bytes), human::duration(*duration_ms));
                match aborted {
                    None => format!("TFTP {file}: {done} in {took}{again}"),
                    Some(why) => {
                        format!(
                            "TFTP {file}: {done} of {} in {took}{again}, ended: {why}",
                            human::size(*size)
                        )
                    }
                }
            }
            Self::Http { method, path, status, bytes, duration_ms, plan } => {
                let plan = plan.as_deref().map(|plan| format!(": {plan}")).unwrap_or_default();
                let (sent, took) = (human::size(*bytes), human::duration(*duration_ms));
                format!("HTTP {method} {path} → {status}, {sent} in {took}{plan}")
            }
            Self::Agent { message, .. } => message.clone(),
            Self::Inventory { changes: None } => "first inventory".into(),
            Self::Inventory { changes: Some(0) } => "inventory, unchanged".into(),
            Self::Inventory { changes: Some(count) } => format!("inventory, {count} changes"),
        }
    }
}
