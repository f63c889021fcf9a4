//! An address that goes back to what it was unless somebody who reaches the appliance confirms it.

use ironwake_api::{CONFIRM_WITHIN, Millis};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A change that is not confirmed, as it is kept on the disk from before it is made until it is kept or taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Which interface.
    pub interface: String,
    /// What it gets, in words.
    pub to: String,
    /// What its file held; none where there was no file.
    pub before: Option<String>,
    /// When it was asked for.
    pub asked_at: Millis,
    /// SHA-256 of what the confirmation shows, in hexadecimal.
    pub token_digest: String,
}

impl Pending {
    /// A change from here on, which `token` confirms.
    pub fn new(interface: &str, to: String, before: Option<String>, token: &str, now: Millis) -> Self {
        Self { interface: interface.to_owned(), to, before, asked_at: now, token_digest: digest(token) }
    }

    /// Until when it can be confirmed.
    pub fn confirm_by(&self) -> Millis {
        self.asked_at + CONFIRM_WITHIN
    }

    /// Whether its time is up. A clock that was set back would make it wait for ever.
    pub fn due(&self, now: Millis) -> bool {
        now >= self.confirm_by() || now < self.asked_at
    }

    /// Whether this confirms it.
    pub fn confirmed_by(&self, token: &str) -> bool {
        digest(token) == self.token_digest
    }
}

fn digest(token: &str) -> String {
    Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_waits_a_minute_for_its_confirmation() {
        let pending = Pending::new("eth0", "10.0.0.2/24".into(), None, "abc", 1_000_000);
        let check = |now, expected| assert_eq!(pending.due(now), expected, "{now}");
        check(1_000_000, false);
        check(1_059_999, false);
        check(1_060_000, true);
        // Somebody has set the clock back.
        check(999_999, true);
        assert!(pending.confirmed_by("abc") && !pending.confirmed_by("abd") && !pending.confirmed_by(""));
        let written = serde_json::to_string(&pending).expect("JSON");
        assert!(!written.contains("\"abc\""), "{written}");
        assert_eq!(serde_json::from_str::<Pending>(&written).expect("read"), pending);
    }
}
