//! What cannot be made for an operation: it fails of that at once. An armed machine whose boot cannot be made boots its disk.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::sync::Mutex;

use ironwake_api::{Actor, OperationKind, OperationState};
use tracing::warn;

use super::{Site, SiteError};
use crate::boot::{BootPlan, Why};
use crate::operation::{Record, Trigger};
use crate::script::ArmedBoot;

/// What scripts have come upon, by operation; whoever asks for one does not wait for the store.
#[derive(Default)]
pub(super) struct Noted(Mutex<BTreeMap<String, Unmade>>);

/// Why the boot of an arming cannot be made.
#[derive(Debug)]
pub(super) struct Unmade {
    operation: String,
    kind: OperationKind,
    armings: u32,
    reason: String,
}

impl Unmade {
    pub fn new(record: &Record, error: &SiteError) -> Self {
        let Record { operation, armings, .. } = record;
        let reason = format!("its boot cannot be made: {error}");
        Self { operation: operation.id.clone(), kind: operation.kind, armings: *armings, reason }
    }

    /// What the machine gets instead: discovery would tell it to restart for its operation, again and again.
    pub fn plan(&self) -> BootPlan {
        BootPlan::LocalBoot(Why::BootNotMade(self.kind))
    }
}

impl Site {
    /// A plan with what an armed machine boots.
    pub(super) fn with_boot(
        &self,
        plan: BootPlan,
        machine: Option<&str>,
        http: SocketAddrV4,
    ) -> Result<(BootPlan, Option<ArmedBoot>), Unmade> {
        match (&plan, machine) {
            (BootPlan::Armed(_), Some(machine)) => match self.armed_boot(machine, http)? {
                Some(boot) => Ok((plan, Some(boot))),
                // It has ended since the plan was made.
                None => Ok((BootPlan::LocalBoot(Why::NotArmed), None)),
            },
            _ => Ok((plan, None)),
        }
    }

    /// Remembers why an operation has to fail.
    pub(super) fn note_unmade(&self, unmade: Unmade) {
        self.unmade.0.lock().expect("no panic while held").insert(unmade.operation.clone(), unmade);
    }

    /// Fails the operations whose boot could not be made; to be called about once a second.
    pub async fn fail_unmade_boots(&self) {
        let noted = std::mem::take(&mut *self.unmade.0.lock().expect("no panic while held"));
        for (id, unmade) in noted {
            if let Err(error) = self.fail_unmade(unmade).await {
                warn!(operation = id, %error, "an operation whose boot cannot be made was not ended");
            }
        }
    }

    /// Hands on what was made of an operation's profile. Where that can never be made, the operation fails: its machine would ask
    /// in vain until the deadline, which tells nobody the reason. The gate must be held.
    pub(super) async fn made_or_failed<T>(
        &self,
        id: &str,
        what: &str,
        made: Result<T, SiteError>,
    ) -> Result<T, SiteError> {
        if let Err(SiteError::NotMade(why)) = &made {
            // As it is in the store: a key that was made for this was given to nobody.
            let record = self.stored(id).await?;
            let fail = Trigger::Fail { reason: format!("{what} cannot be made: {why}") };
            self.advance(record, &fail, &Actor::Daemon, |_| {}).await?;
        }
        made
    }

    async fn fail_unmade(&self, unmade: Unmade) -> Result<(), SiteError> {
        let _gate = self.gate.lock().await;
        let record = self.stored(&unmade.operation).await?;
        // Another arming is tried by itself.
        if record.operation.state != OperationState::PxeReady || record.armings != unmade.armings {
            return Ok(());
        }
        let trigger = Trigger::Fail { reason: unmade.reason };
        self.advance(record, &trigger, &Actor::Daemon, |_| {}).await.map(drop)
    }
}
