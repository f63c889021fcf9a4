//! What a profile starts by itself: its kernel and archives, the answers that an installer fetches, and its word that it
//! is done.

use std::net::{Ipv4Addr, SocketAddrV4};

use ironwake_api::{Actor, ArtifactState, EventKind, OperationKind, OperationState, PhoneHome, Progress};

use super::phone_home::host;
use super::{Site, SiteError};
use crate::operation::{BootSources, Loaded, Purpose, Record, Trigger};
use crate::profile::{Rendered, RenderedBoot, ServedFile};
use crate::script::ArmedBoot;

/// The kernel by which a profile says that it runs the discovery image, and so its agent.
const AGENTS_KERNEL: &str = "discovery/vmlinuz";
/// How often the machine that took the kernel may fetch one file. A lost answer is asked for again, and some installers
/// ask in each of their stages; whoever holds the machine's address has seen the file the first time, so that a repetition
/// gives nothing away, and refusing it would strand a machine half-way.
const FETCHES_MAX: u32 = 8;

impl Site {
    /// The artifacts that a profile starts, by their names.
    pub(super) fn boot_sources(&self, boot: &RenderedBoot) -> Result<BootSources, String> {
        Ok(BootSources {
            kernel: self.loaded(&boot.kernel)?,
            initrds: boot.initrds.iter().map(|name| self.loaded(name)).collect::<Result<_, _>>()?,
            agent: boot.kernel == AGENTS_KERNEL,
        })
    }

    /// What was imported under a name, or the boot file of this name.
    pub(super) fn loaded(&self, name: &str) -> Result<Loaded, String> {
        let found = self.imports.artifact(name).or_else(|| self.shipped_artifact(name));
        let found = found.filter(|artifact| artifact.state == ArtifactState::Done && artifact.path.is_some());
        match found.and_then(|artifact| artifact.sha256) {
            Some(sha256) => Ok(Loaded { name: name.to_owned(), sha256 }),
            None => Err(format!("{name:?} is not here: `ironwake artifact import {name} FILE` brings it")),
        }
    }

    /// What the loader of an armed machine is told, where the profile starts something of its own.
    pub(super) fn profile_boot(
        &self,
        record: &Record,
        boot: &BootSources,
        kernel: String,
        http: SocketAddrV4,
    ) -> Result<ArmedBoot, SiteError> {
        let machine = self.machine(&record.operation.machine)?;
        let (Rendered::Installer { boot: line, .. } | Rendered::Live { boot: line, .. }) =
            self.rendered(record, &machine, http)?
        else {
            return Err(SiteError::NotMade("the profile starts nothing".into()));
        };
        let mut command_line = line.command_line.reveal().clone();
        if boot.agent {
            let token = self.key.token(Purpose::Work, &record.operation.id, record.armings);
            command_line.push_str(&format!(" ironwake.operation={}_{token}", record.operation.id));
        }
        Ok(ArmedBoot::Profile {
            kernel,
            initrds: boot.initrds.iter().map(Loaded::path).collect(),
            command_line,
        })
    }

    /// An answer file, for the machine that took the kernel. The first one is the beginning of the installation; that it
    /// was served is in the store when this returns.
    pub async fn answer_file(
        &self,
        id: &str,
        token: &str,
        name: &str,
        from: Ipv4Addr,
        http: SocketAddrV4,
    ) -> Result<ServedFile, SiteError> {
        let _gate = self.gate.lock().await;
        let mut record = self.stored(id).await?;
        if !self.key.is_token(token, Purpose::AnswerFile, id, record.armings) {
            return Err(self.token_refused(&record, from, "an answer file was asked for with a wrong token"));
        }
        let (kind, state) = (record.operation.kind, record.operation.state);
        if !matches!(state, OperationState::PxeBooted | OperationState::Installing) {
            return Err(self.token_refused(
                &record,
                from,
                &format!("{kind} is {state}: no answer is served"),
            ));
        }
        let taker = record.taker.map(|taker| taker.from);
        if taker.is_none_or(|taker| !self.is_same_machine(&record, taker, from)) {
            let taker = taker.map_or_else(|| "nobody".to_owned(), |taker| taker.to_string());
            let reason = format!("its kernel was taken by {taker}, and its answers were asked for by {from}");
            let error = self.token_refused(&record, from, &reason);
            self.advance(record, &Trigger::Fail { reason }, &Actor::Daemon, |_| {}).await?;
            return Err(error);
        }
        let machine = self.machine(&record.operation.machine)?;
        let made = self.rendered(&record, &machine, http);
        let (Rendered::Installer { files, .. } | Rendered::Live { files, .. }) =
            self.made_or_failed(id, "its answers", made).await?
        else {
            return Err(SiteError::NoSuchFile(name.to_owned()));
        };
        let file = files.into_iter().find(|file| file.name == name);
        let file = file.ok_or_else(|| SiteError::NoSuchFile(name.to_owned()))?;
        let fetched = record.fetched.entry(name.to_owned()).or_default();
        if *fetched >= FETCHES_MAX {
            let reason = format!("{name} was served {FETCHES_MAX} times already");
            return Err(self.token_refused(&record, from, &reason));
        }
        *fetched += 1;
        match state {
            OperationState::PxeBooted => {
                let trigger = Trigger::BeganWith { what: format!("{name}, to {from}") };
                self.advance(record, &trigger, &Actor::Machine, |_| {}).await?;
            }
            _ => {
                let kind = EventKind::OperationProgress {
                    operation: id.to_owned(),
                    progress: Progress::default(),
                    what: format!("{name} was served to {from}"),
                };
                let event = self.event(Actor::Machine, Some(&record.operation.machine), kind);
                self.save_record(record, None).await?;
                self.save_behind(vec![event]);
            }
        }
        Ok(file)
    }

    /// An installer says that it is done. Its machine stops where it is not answered well, so whatever token the
    /// operation ever had is good enough for that; only the one in force, at its time and from no other machine's address, means
    /// anything.
    pub async fn installed(
        &self,
        id: &str,
        token: &str,
        call: PhoneHome,
        from: Ipv4Addr,
    ) -> Result<(), SiteError> {
        let _gate = self.gate.lock().await;
        let record = self.stored(id).await?;
        if !self.key.was_token(token, Purpose::Installed, id, record.armings) {
            return Err(self.token_refused(&record, from, "an installer called with a wrong token"));
        }
        let in_force = self.key.is_token(token, Purpose::Installed, id, record.armings);
        if !in_force || record.operation.state != OperationState::Installing {
            let reason = format!(
                "an installer said that it is done while {} was {}",
                record.operation.kind, record.operation.state
            );
            self.note_token(&record.operation.id, &record.operation.machine, from, &reason);
            return Ok(());
        }
        // Answered like any other: it may be the machine after all, behind a router that answers for it, and would stop.
        if let Some(reason) = self.calls_from_another(&record.operation, from) {
            let reason = format!("an installer said that it is done: {reason}");
            self.note_token(&record.operation.id, &record.operation.machine, from, &reason);
            return Ok(());
        }
        let keys = host(&call, from, self.now());
        self.advance(record, &Trigger::Wrote, &Actor::Machine, |record| {
            record.installed = Some(keys);
        })
        .await
        .map(drop)
    }

    /// Whether an address is that of the machine that took the kernel: the same one, or another that the machine got since,
    /// as installers ask for an address of their own.
    fn is_same_machine(&self, record: &Record, taker: Ipv4Addr, from: Ipv4Addr) -> bool {
        let of_record = || {
            let machine = self.machine(&record.operation.machine).ok();
            let mac = self.attested_mac_of(from);
            machine.zip(mac).is_some_and(|(machine, mac)| machine.macs.contains(&mac))
        };
        taker == from || of_record()
    }
}

/// Whether a system runs from the moment that its kernel is served, because it reports nothing.
pub(super) fn runs_when_served(record: &Record) -> bool {
    record.operation.kind == OperationKind::Rescue && record.starts_own_kernel()
}
