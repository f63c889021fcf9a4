//! The administrator's password: its hash, in a file of the state directory.

use std::path::PathBuf;
use std::sync::{OnceLock, RwLock};

use ironwake_api::{Actor, EventKind, LoginWith, Secret};

use super::{Site, SiteError};
use crate::access::{PasswordHash, SALT_BYTES, SessionId, check_password};
use crate::private::{self, PrivateError};

/// The file's name in the state directory.
pub const PASSWORD_FILE: &str = "password";
/// A hash as text has some hundred bytes.
const FILE_BYTES_MAX: u64 = 1024;

/// Who may set the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingPassword {
    /// Whoever may, whether there is one or not; this session of theirs goes on.
    Anew(Option<SessionId>),
    /// Whoever stands in front of an appliance that has none.
    First,
}

/// The password in force.
#[derive(Default)]
pub(super) struct Held {
    file: OnceLock<PathBuf>,
    hash: RwLock<Option<PasswordHash>>,
}

/// Why the file of the password cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] PrivateError),
    /// It holds something else.
    #[error("{}: {why}; delete it, and set another password with `ironwake password set`", path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl Site {
    /// Takes up the password of a state directory, and keeps it there from here on.
    pub fn keep_password(&self, state: &std::path::Path) -> Result<(), PasswordError> {
        let path = state.join(PASSWORD_FILE);
        if let Some(bytes) = private::read(&path, FILE_BYTES_MAX)? {
            let hash = PasswordHash::parse(&String::from_utf8_lossy(&bytes));
            let hash = hash.map_err(|why| PasswordError::Foreign { path: path.clone(), why })?;
            *self.password.hash.write().expect("no panic while held") = Some(hash);
        }
        // Where it was set before, it is the same directory.
        let _ = self.password.file.set(path);
        Ok(())
    }

    /// The hash in force.
    pub(super) fn password(&self) -> Option<PasswordHash> {
        self.password.hash.read().expect("no panic while held").clone()
    }

    /// Whether there is one.
    pub fn has_password(&self) -> bool {
        self.password.hash.read().expect("no panic while held").is_some()
    }

    /// Sets the password. It counts once it is on the disk; sessions of the one before end.
    pub async fn set_password(
        &self,
        password: Secret,
        setting: SettingPassword,
        actor: Actor,
    ) -> Result<(), SiteError> {
        check_password(&password.0).map_err(|why| SiteError::invalid("password", why))?;
        let path = self.password.file.get().cloned();
        let path = path.ok_or_else(|| SiteError::Password("this daemon has no file for it".into()))?;
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(|error| SiteError::NoRandomness(error.to_string()))?;
        let _hashing = self.logged.hashing().await?;
        let _gate = self.gate.lock().await;
        let first = !self.has_password();
        if setting == SettingPassword::First && !first {
            return Err(SiteError::Conflict(
                "a password is set already: log in with it to set another".into(),
            ));
        }
        let made = tokio::task::spawn_blocking(move || {
            let hash = PasswordHash::of(&password.0, salt)?;
            private::write(&path, format!("{}\n", hash.encode()).as_bytes()).map_err(|error| told(&error))?;
            Ok(hash)
        });
        let hash = made.await.map_err(|_| crate::store::StoreError::Closed)?.map_err(SiteError::Password)?;
        *self.password.hash.write().expect("no panic while held") = Some(hash);
        let own = match &setting {
            SettingPassword::Anew(own) => own.as_ref(),
            SettingPassword::First => None,
        };
        self.end_sessions_with(LoginWith::Password, own);
        tracing::info!("the administrator's password was set");
        let event = self.event(actor, None, EventKind::PasswordChanged { first });
        Ok(self.store.save(vec![event]).await?)
    }
}

/// A failure with its cause.
fn told(error: &PrivateError) -> String {
    use std::error::Error as _;
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
