//! Public keys of those who may log in over SSH: listed ones, those on USB sticks, and the one-time password that lets keys in.

use serde::{Deserialize, Serialize};

use crate::{Actor, FieldProblem, Millis, Secret};

/// The port of the console over SSH, unless it was told another one: below 1024 it could not listen without a capability.
pub const SSH_PORT: u16 = 2222;
/// The environment variable that tells another one, to the SSH server and to the daemon, whose texts name it.
pub const SSH_PORT_VARIABLE: &str = "IRONWAKE_SSH_PORT";

/// A public key, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SshKey {
    /// `SHA256:` and base64 without padding, as `ssh-keygen -l` shows it.
    pub fingerprint: String,
    /// Such as `ssh-ed25519`.
    pub kind: String,
    /// Whose it is, as its line says; may be empty.
    pub comment: String,
}

/// Where a listed key stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "place", rename_all = "snake_case")]
pub enum SshKeyPlace {
    /// In the daemon's own list: it can be deleted.
    Added {
        /// When it was added.
        at: Millis,
        /// By whom.
        by: Actor,
    },
    /// In the operator's file, which the daemon does not write.
    File {
        /// Which file.
        path: String,
        /// At which line, from 1 on.
        line: u64,
    },
}

/// A key whose holder may log in. One that stands in both places is listed twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SshKeyListed {
    /// The key.
    #[serde(flatten)]
    pub key: SshKey,
    /// Where it stands.
    #[serde(flatten)]
    pub place: SshKeyPlace,
}

/// `POST /api/v1/ssh-keys`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SshKeysNew {
    /// Lines as in `authorized_keys`: kind, base64, comment. Empty ones and comments are skipped.
    pub keys: String,
}

/// What became of the keys that were handed in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SshKeysAdded {
    /// Their holders may log in from here on.
    pub added: Vec<SshKey>,
    /// They were listed already, and stay as they are.
    pub present: Vec<SshKey>,
}

/// A key in a file of a USB stick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SshKeyFound {
    /// The key.
    #[serde(flatten)]
    pub key: SshKey,
    /// Kind, base64 and comment: what `POST /api/v1/ssh-keys` takes.
    pub line: String,
    /// Whether it is listed already.
    pub listed: bool,
}

/// A file of a USB stick that may hold keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SshKeyFile {
    /// Below the root of its file system, such as `ironwake/anna.pub`.
    pub path: String,
    /// The keys in it.
    pub keys: Vec<SshKeyFound>,
    /// Lines that are no keys that could be added (`line 3`), or what is wrong with the file (`file`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<FieldProblem>,
}

/// A file system of a USB stick that is plugged in, one of `GET /api/v1/ssh-keys/found`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SshKeyStick {
    /// Its label, or the device's name where it has none.
    pub label: String,
    /// Files that may hold keys, by path; none where it has none.
    pub files: Vec<SshKeyFile>,
    /// Why it could not be read, or not all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// `POST /api/v1/ssh-keys/one-time-password`: what lets keys be added over SSH, once, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OneTimePassword {
    /// Groups of letters and digits with hyphens between. It is in this answer and nowhere else.
    pub password: Secret,
    /// When it ends, unless keys were added with it before.
    pub expires_at: Millis,
    /// The port where it is good.
    pub ssh_port: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_key_is_one_object() {
        let listed = SshKeyListed {
            key: SshKey {
                fingerprint: "SHA256:abc".into(),
                kind: "ssh-ed25519".into(),
                comment: "anna@laptop".into(),
            },
            place: SshKeyPlace::File { path: "/etc/ironwake/authorized_keys".into(), line: 3 },
        };
        let text = serde_json::to_string(&listed).expect("JSON");
        let expected = "{\"fingerprint\":\"SHA256:abc\",\"kind\":\"ssh-ed25519\",\"comment\":\"anna@laptop\",\
                        \"place\":\"file\",\"path\":\"/etc/ironwake/authorized_keys\",\"line\":3}";
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<SshKeyListed>(&text).expect("the same"), listed);
    }

    #[test]
    fn a_one_time_password_is_not_in_debug() {
        let made = OneTimePassword { password: Secret("abcd-efgh".into()), expires_at: 7, ssh_port: 22 };
        assert_eq!(format!("{made:?}"), "OneTimePassword { password: ***, expires_at: 7, ssh_port: 22 }");
    }
}
