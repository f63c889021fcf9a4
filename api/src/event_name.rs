//! What events are called in JSON.

use crate::EventKind;

impl EventKind {
    /// The name that `kind` has in JSON, and the operation concerned, if one is.
    pub fn labels(&self) -> (String, Option<String>) {
        let value = serde_json::to_value(self).unwrap_or_default();
        let text = |field: &str| value.get(field).and_then(|text| text.as_str()).map(str::to_owned);
        (text("kind").unwrap_or_default(), text("operation"))
    }

    /// Every name that `kind` has in JSON, in the order of the types.
    pub const NAMES: &'static [&'static str] = &[
        "machine_seen",
        "machine_registered",
        "enrolment",
        "machine_edited",
        "machine_deleted",
        "machine_absorbed",
        "identity_conflict",
        "order_given",
        "operation_made",
        "operation_waits",
        "operation_changed",
        "operation_progress",
        "shell_opened",
        "shell_closed",
        "operation_step",
        "login_key_removed",
        "host_booted",
        "host_changed",
        "host_silent",
        "host_back",
        "token_refused",
        "inventory",
        "attempt_started",
        "attempt_stage",
        "attempt_ended",
        "other_dhcp_server",
        "other_dhcp_server_gone",
        "address_conflict",
        "leases_changed",
        "health_changed",
        "daemon_started",
        "artifact_asked",
        "artifact_progress",
        "artifact_trouble",
        "artifact_failed",
        "artifact_cancelled",
        "artifact_evicted",
        "artifact_ready",
        "artifact_build",
        "artifact_build_progress",
        "artifact_pinned",
        "settings_changed",
        "system_changing",
        "system_change_failed",
        "system_ending",
        "unit_restarting",
        "setup_step",
        "update_found",
        "update_started",
        "update_installed",
        "update_failed",
        "update_stayed",
        "update_fell_back",
        "database_taken_back",
        "install_begun",
        "install_ended",
        "factory_reset",
        "network_changing",
        "network_confirmed",
        "network_taken_back",
        "token_made",
        "token_revoked",
        "access_slowed",
        "logged_in",
        "login_refused",
        "password_changed",
        "ssh_key_added",
        "ssh_key_deleted",
        "one_time_password_made",
        "certificate_changed",
        "certificate_refused",
        "artifact_deleted",
        "backup_made",
        "backup_restored",
        "clock_jumped",
        "webhook_test",
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_json() {
        let error = serde_json::from_str::<EventKind>("{\"kind\": \"?\"}").unwrap_err().to_string();
        let expected: Vec<String> = EventKind::NAMES.iter().map(|name| format!("`{name}`")).collect();
        assert!(error.contains(&expected.join(", ")), "{error}");
        assert_eq!(error.matches('`').count(), 2 * (expected.len() + 1), "{error}");
    }
}
