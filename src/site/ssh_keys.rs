//! Public keys of those who may log in over SSH: the daemon's own list beside the operator's file, and keys on USB sticks.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock, RwLock};

use ironwake_api::{
    Actor, EventKind, FieldProblem, SshKeyListed, SshKeyPlace, SshKeyStick, SshKeysAdded, SshKeysNew,
};

use super::{InSession, Site, SiteError, Standing};
use crate::access::{ADDED_KEYS_MAX, AddedKey, Listed, PublicKey, parse_added};
use crate::authorized::Authorized;
use crate::sticks::Sticks;
use crate::store::{Change, StoreError};

/// Keys in the daemon's own list: those of every administrator of a large site, each with several. Each is looked at when
/// somebody logs in.
pub const SSH_KEYS_MAX: usize = ADDED_KEYS_MAX;

/// Whose keys open.
pub(super) struct SshKeys {
    /// The operator's file.
    authorized: Arc<Authorized>,
    /// What was added, the oldest first.
    added: RwLock<Vec<AddedKey>>,
    /// Where USB sticks are looked for; nowhere, unless it was said.
    sticks: OnceLock<Arc<Sticks>>,
}

impl SshKeys {
    pub fn new(file: PathBuf, added: Vec<AddedKey>) -> Self {
        Self {
            authorized: Arc::new(Authorized::new(file)),
            added: RwLock::new(added),
            sticks: OnceLock::new(),
        }
    }

    fn added(&self) -> Vec<AddedKey> {
        self.added.read().expect("no panic while held").clone()
    }

    /// The comment of a key that was added.
    fn find(&self, key: &PublicKey) -> Option<String> {
        let added = self.added.read().expect("no panic while held");
        added.iter().find(|added| added.key == *key).map(|added| added.comment.clone())
    }

    /// Asks the operator's file, which may read it.
    async fn file<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Authorized) -> T + Send + 'static,
    ) -> Result<T, SiteError> {
        let authorized = self.authorized.clone();
        Ok(tokio::task::spawn_blocking(move || ask(&authorized)).await.map_err(|_| StoreError::Closed)?)
    }

    /// The comment of a key, if its holder may log in.
    pub async fn listed(&self, key: &PublicKey) -> Result<Option<String>, SiteError> {
        if let Some(comment) = self.find(key) {
            return Ok(Some(comment));
        }
        let key = key.clone();
        self.file(move |file| file.find(&key)).await
    }

    /// Whether anybody may log in with a key.
    pub async fn any(&self) -> Result<bool, SiteError> {
        let none = self.added.read().expect("no panic while held").is_empty();
        Ok(!none || !self.file(Authorized::is_empty).await?)
    }
}

impl Site {
    /// The comment of a key, if its holder may log in.
    pub async fn listed(&self, key: &str) -> Result<Option<String>, SiteError> {
        let key = PublicKey::parse(key).map_err(|why| SiteError::invalid("key", why))?;
        self.ssh_keys.listed(&key).await
    }

    /// Every listed key: those of the operator's file, and those that were added.
    pub async fn ssh_keys(&self) -> Result<Vec<SshKeyListed>, SiteError> {
        let path = self.ssh_keys.authorized.path().display().to_string();
        let file = self.ssh_keys.file(Authorized::keys).await?;
        let of_file = file.into_iter().map(|listed| SshKeyListed {
            key: listed.key.shown(&listed.comment),
            place: SshKeyPlace::File { path: path.clone(), line: listed.line as u64 },
        });
        let added = self.ssh_keys.added().into_iter().map(|added| SshKeyListed {
            key: added.key.shown(&added.comment),
            place: SshKeyPlace::Added { at: added.at, by: added.by },
        });
        Ok(of_file.chain(added).collect())
    }

    /// Adds keys: all of them, or, if one line is none, nothing. A one-time password ends with that, and so does every
    /// session that it began, this one too.
    pub async fn add_ssh_keys(
        &self,
        new: &SshKeysNew,
        actor: Actor,
        session: Option<&InSession>,
        standing: Option<&Standing>,
    ) -> Result<SshKeysAdded, SiteError> {
        let read = parse_added(&new.keys);
        if !read.warnings.is_empty() || read.keys.is_empty() {
            return Err(SiteError::Invalid(mistakes(&read.warnings)));
        }
        let _gate = self.gate.lock().await;
        Standing::check(standing)?;
        // Of two who come with it at once, one adds keys.
        if session.is_some_and(|held| !self.is_worth(&held.session)) {
            return Err(SiteError::SessionEnded);
        }
        let (mut answer, mut changes, mut adding) = (SshKeysAdded::default(), Vec::new(), Vec::new());
        for Listed { key, comment, .. } in read.keys {
            let shown = key.shown(&comment);
            if self.ssh_keys.listed(&key).await?.is_some() {
                answer.present.push(shown);
                continue;
            }
            let kind =
                EventKind::SshKeyAdded { fingerprint: shown.fingerprint.clone(), comment: comment.clone() };
            answer.added.push(shown);
            let added = AddedKey { key, comment, at: self.now(), by: actor.clone() };
            changes.push(Change::SshKey(Box::new(added.clone())));
            changes.push(self.event(actor.clone(), None, kind));
            adding.push(added);
        }
        if self.ssh_keys.added().len() + adding.len() > SSH_KEYS_MAX {
            return Err(SiteError::Full { what: "public keys", limit: SSH_KEYS_MAX });
        }
        self.store.save(changes).await?;
        for key in &answer.added {
            tracing::info!(fingerprint = key.fingerprint, comment = key.comment, "a key may log in over SSH");
        }
        self.ssh_keys.added.write().expect("no panic while held").extend(adding);
        if session.is_some_and(|held| held.session.one_time.is_some()) {
            self.end_one_time_password();
        }
        Ok(answer)
    }

    /// Takes a key from the daemon's own list, and ends its sessions. One that the operator's file has too would open still:
    /// then nothing is done.
    pub async fn delete_ssh_key(&self, fingerprint: &str, actor: Actor) -> Result<(), SiteError> {
        let _gate = self.gate.lock().await;
        let added = self.ssh_keys.added().into_iter().find(|added| added.key.fingerprint() == fingerprint);
        let wanted = fingerprint.to_owned();
        let find = move |file: &Authorized| {
            file.keys().into_iter().find(|listed| listed.key.fingerprint() == wanted).map(|found| found.line)
        };
        if let Some(line) = self.ssh_keys.file(find).await? {
            let path = self.ssh_keys.authorized.path().display();
            let again = if added.is_some() { ", then ask for this again: it was added as well" } else { "" };
            return Err(SiteError::Conflict(format!(
                "{fingerprint} stands in {path} at line {line}, and the daemon does not write that file: delete the line there{again}"
            )));
        }
        let Some(added) = added else { return Err(SiteError::NoSuchSshKey(fingerprint.to_owned())) };
        let kind =
            EventKind::SshKeyDeleted { fingerprint: fingerprint.to_owned(), comment: added.comment.clone() };
        let event = self.event(actor, None, kind);
        self.store.save(vec![Change::SshKeyDeleted(fingerprint.to_owned()), event]).await?;
        self.ssh_keys.added.write().expect("no panic while held").retain(|other| other.key != added.key);
        tracing::info!(fingerprint, comment = added.comment, "a key may no longer log in over SSH");
        self.end_key_sessions(&added.key);
        Ok(())
    }

    /// Ends the sessions of keys that are listed no more: the operator's file may have changed, or a key was deleted while
    /// somebody logged in with it.
    pub async fn end_unlisted_sessions(&self) {
        for key in self.logged.keys() {
            // A file that could not be asked for says nothing.
            if let Ok(None) = self.ssh_keys.listed(&key).await {
                self.end_key_sessions(&key);
            }
        }
    }

    /// Where USB sticks are.
    pub fn look_for_sticks_in(&self, sticks: Arc<Sticks>) {
        // Where it was said before, they are the same.
        let _ = self.ssh_keys.sticks.set(sticks);
    }

    /// Keys on USB sticks that are plugged in.
    pub async fn ssh_keys_found(&self) -> Result<Vec<SshKeyStick>, SiteError> {
        let Some(sticks) = self.ssh_keys.sticks.get() else { return Ok(Vec::new()) };
        let mut found = sticks.look().await.map_err(|error| SiteError::Conflict(error.to_string()))?;
        let keys = self.ssh_keys().await?;
        let listed = |fingerprint: &str| keys.iter().any(|listed| listed.key.fingerprint == fingerprint);
        for key in found.iter_mut().flat_map(|stick| &mut stick.files).flat_map(|file| &mut file.keys) {
            key.listed = listed(&key.key.fingerprint);
        }
        Ok(found)
    }
}

/// What is wrong with keys that were handed in.
fn mistakes(warnings: &[(usize, String)]) -> Vec<FieldProblem> {
    let problem = |message: String| FieldProblem { field: "keys".into(), message };
    if warnings.is_empty() {
        let message = "there is no key in it: lines as in authorized_keys are wanted (kind, base64, comment)";
        return vec![problem(message.into())];
    }
    warnings.iter().map(|(line, why)| problem(format!("line {line}: {why}"))).collect()
}
