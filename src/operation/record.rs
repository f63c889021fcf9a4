//! An operation as it is stored: what the API shows, and what only the daemon needs.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

use ironwake_api::{Actor, Host, ImageSource, MacAddr, Millis, Operation, OperationState, ProfileChoice};
use serde::{Deserialize, Serialize};

use super::apply::{Effect, Illegal, Trigger, apply};
use super::deadline::Deadlines;

/// Changes of state of one operation. A whole rebuild has seven; the rest is arming and disarming.
pub const HISTORY_MAX: usize = 200;

/// An operation with its history and what only the daemon knows of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What the API shows.
    pub operation: Operation,
    /// How long each state may last.
    pub deadlines: Deadlines,
    /// How often it was armed: each arming has tokens of its own.
    #[serde(default)]
    pub armings: u32,
    /// Who took the work of this arming.
    #[serde(default)]
    pub taker: Option<Taker>,
    /// Answer files that were served for this arming, each with how often.
    #[serde(default)]
    pub fetched: BTreeMap<String, u32>,
    /// Approved disks, by name, that were reported once they were written, each with the inventory that this made.
    #[serde(default)]
    pub reported: BTreeMap<String, i64>,
    /// What an installer said of the host when it was done.
    #[serde(default)]
    pub installed: Option<Host>,
    /// What the machine is made into, or what it runs; rebuilds have one.
    #[serde(default)]
    pub rebuild: Option<Rebuild>,
    /// What it logs in to the host with; only where the profile has steps.
    #[serde(default)]
    pub login: Option<Login>,
}

/// The half of a login that may be known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The public key, as it stands in the host's `authorized_keys`.
    pub public_key: String,
    /// Where the machine reached us: what its templates were rendered with.
    pub http: SocketAddrV4,
}

/// What an operation with a profile was confirmed with: whatever becomes of the profile and the artifacts, this is what
/// is installed or run.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Rebuild {
    /// As the API shows it.
    pub choice: ProfileChoice,
    /// The profile's folder: its files by name.
    pub files: BTreeMap<String, String>,
    /// What the host is to be called; absent in what was made before hosts were named.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Values by variable that are not the profile's own, secret ones included.
    pub written: BTreeMap<String, serde_json::Value>,
    /// The image, where one is written.
    #[serde(default)]
    pub image: Option<ImageSource>,
    /// What is started, where the profile starts something of its own.
    #[serde(default)]
    pub boot: Option<BootSources>,
    /// What its templates name by `artifact("NAME")`; absent in what was made before that was kept.
    #[serde(default)]
    pub artifacts: Option<Vec<Loaded>>,
    /// How the machine showed itself when this was confirmed.
    #[serde(default)]
    pub seen: Seen,
    /// The profile's deadlines.
    pub deadlines: Deadlines,
    /// How often the profile has the host call.
    #[serde(default)]
    pub heartbeat_secs: Option<u64>,
}

impl Rebuild {
    /// Digests of all that it needs, 64 hexadecimal digits each.
    pub fn digests(&self) -> impl Iterator<Item = &str> {
        self.needs().map(|(_, sha256)| sha256)
    }

    /// What is still asked for by name and digest in this state: a machine that writes has started what it starts, and its
    /// image comes by digest alone.
    pub fn still_needs(&self, state: OperationState) -> Vec<(&str, &str)> {
        use OperationState::{FirstBoot, Installed, Installing, Joining};
        match state {
            _ if state.has_ended() => Vec::new(),
            Installing | Installed | FirstBoot | Joining => {
                let named = self.artifacts.iter().flatten();
                named.map(|loaded| (loaded.name.as_str(), loaded.sha256.as_str())).collect()
            }
            _ => self.needs().collect(),
        }
    }

    /// All that it needs: what it is called, and its digest.
    pub fn needs(&self) -> impl Iterator<Item = (&str, &str)> {
        let boot = self.boot.iter().flat_map(|boot| std::iter::once(&boot.kernel).chain(&boot.initrds));
        let loaded = boot.chain(self.artifacts.iter().flatten());
        let image = self.image.iter().map(|image| {
            let file = image.path.rsplit('/').next().unwrap_or_default();
            (file, image.sha256.as_str())
        });
        image.chain(loaded.map(|loaded| (loaded.name.as_str(), loaded.sha256.as_str())))
    }
}

/// What a profile starts over the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootSources {
    /// The kernel.
    pub kernel: Loaded,
    /// What is loaded beside it, in order.
    pub initrds: Vec<Loaded>,
    /// Whether this is the discovery image: then the agent takes up the work.
    pub agent: bool,
}

/// An artifact that a machine fetches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// Its name.
    pub name: String,
    /// 64 hexadecimal digits.
    pub sha256: String,
}

impl Loaded {
    /// Where it is fetched.
    pub fn path(&self) -> String {
        let file = self.name.rsplit('/').next().unwrap_or(&self.name);
        format!("/artifacts/{}/{file}", self.sha256)
    }
}

/// What a profile asks of a machine beside its record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seen {
    /// The address that it boots through.
    pub boot_mac: Option<MacAddr>,
    /// Whether its firmware is UEFI.
    pub uefi: bool,
}

impl fmt::Debug for Rebuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rebuild").field("choice", &self.choice).finish_non_exhaustive()
    }
}

/// Who took an operation's work; a second one gets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taker {
    /// Its address: reports from another one are refused.
    pub from: Ipv4Addr,
    /// When.
    pub at: Millis,
}

impl Record {
    /// What `trigger` makes of it, and what to do once that is saved.
    pub fn after(
        &self,
        trigger: &Trigger,
        actor: &Actor,
        now: Millis,
    ) -> Result<(Self, Vec<Effect>), Illegal> {
        let step = apply(&self.operation, trigger, actor, now, &self.deadlines)?;
        let mut record = Self { operation: step.operation, ..self.clone() };
        record.operation.history = self.operation.history.clone();
        record.operation.history.extend(step.events);
        if record.operation.state == OperationState::PxeReady {
            record.armings += 1;
            record.taker = None;
            record.fetched.clear();
            record.installed = None;
        }
        Ok((record, step.effects))
    }

    /// Whether its history has no room for another arming.
    pub fn is_full(&self) -> bool {
        self.operation.history.len() + 2 > HISTORY_MAX
    }

    /// Whether it boots a kernel of its profile, and not the discovery image with its agent.
    pub fn starts_own_kernel(&self) -> bool {
        let boot = self.rebuild.as_ref().and_then(|rebuild| rebuild.boot.as_ref());
        boot.is_some_and(|boot| !boot.agent)
    }

    /// The changes of state that `after` has and this one has not.
    pub fn news<'a>(&self, after: &'a Self) -> &'a [ironwake_api::OperationEvent] {
        &after.operation.history[self.operation.history.len()..]
    }
}
