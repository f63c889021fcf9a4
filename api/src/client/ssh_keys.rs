//! Public keys of those who may log in over SSH, as the client asks for them.

use hyper::Method;

use super::{Client, ClientError, encode};
use crate::{OneTimePassword, SshKeyListed, SshKeyStick, SshKeysAdded, SshKeysNew};

impl Client {
    /// Every listed key.
    pub async fn ssh_keys(&self) -> Result<Vec<SshKeyListed>, ClientError> {
        self.get("/ssh-keys").await
    }

    /// Adds keys: lines as in `authorized_keys`.
    pub async fn add_ssh_keys(&self, keys: &str) -> Result<SshKeysAdded, ClientError> {
        self.send(Method::POST, "/ssh-keys", Some(&SshKeysNew { keys: keys.to_owned() })).await
    }

    /// Takes a key away, by its fingerprint, and ends its sessions.
    pub async fn delete_ssh_key(&self, fingerprint: &str) -> Result<(), ClientError> {
        let path = format!("/ssh-keys/{}", encode(fingerprint));
        self.call(Method::DELETE, &path, None::<&()>).await.map(drop)
    }

    /// Keys on USB sticks that are plugged in.
    pub async fn ssh_keys_found(&self) -> Result<Vec<SshKeyStick>, ClientError> {
        self.get("/ssh-keys/found").await
    }

    /// Makes a password that lets keys be added over SSH, once; it takes the place of the one before.
    pub async fn make_one_time_password(&self) -> Result<OneTimePassword, ClientError> {
        self.send(Method::POST, "/ssh-keys/one-time-password", None::<&()>).await
    }
}
