//! The host that an operation has installed reports its first boot.

use std::net::{IpAddr, Ipv4Addr};

use ironwake_api::{Actor, Host, Machine, OperationState, PhoneHome};

use super::{Site, SiteError};
use crate::machine::identifying_text;
use crate::operation::{Purpose, Trigger};

/// A field in bytes; an RSA key of 16,384 bits takes three thousand.
const FIELD_BYTES_MAX: usize = 4096;
/// Addresses of one host.
const ADDRESSES_MAX: usize = 64;

impl Site {
    /// Notes that the host runs, once; saying the same again from the same address changes nothing.
    pub async fn phone_home(
        &self,
        id: &str,
        token: &str,
        call: PhoneHome,
        from: Ipv4Addr,
    ) -> Result<(), SiteError> {
        let (operation, effects) = {
            let _gate = self.gate.lock().await;
            let record = self.stored(id).await?;
            if !self.key.is_token(token, Purpose::PhoneHome, id, record.armings) {
                return Err(self.token_refused(&record, from, "a host phoned home with a wrong token"));
            }
            if let Some(host) = &record.operation.host {
                if host.from == from.to_string() {
                    return Ok(());
                }
                let reason = format!("{} has phoned home with it, and {from} did again", host.from);
                return Err(self.token_refused(&record, from, &reason));
            }
            if let Some(reason) = self.calls_from_another(&record.operation, from) {
                return Err(self.token_refused(&record, from, &format!("a host phoned home: {reason}")));
            }
            let machine = self.machine(&record.operation.machine)?;
            let mut host = host(&call, from, self.now());
            if let Some(installed) = &record.installed
                && host.ssh_keys.is_empty()
            {
                host.ssh_keys = installed.ssh_keys.clone();
            }
            let trigger = match other_machine(&machine, &call) {
                Some(reason) => Trigger::Fail { reason },
                None => {
                    Trigger::PhonedHome { who: host.hostname.clone().unwrap_or_else(|| from.to_string()) }
                }
            };
            self.advance(record, &trigger, &Actor::Machine, |record| {
                if record.operation.state != OperationState::Failed {
                    record.operation.host = Some(host);
                }
            })
            .await?
        };
        self.perform(&operation, &effects).await;
        Ok(())
    }
}

/// Why what called is not the machine that was installed, as far as it says who it is.
pub(super) fn other_machine(machine: &Machine, call: &PhoneHome) -> Option<String> {
    let uuid = call.uuid.as_deref().and_then(|text| text.parse::<uuid::Uuid>().ok());
    if let (Some(theirs), Some(ours)) = (uuid, &machine.uuid)
        && theirs.to_string() != *ours
    {
        return Some(format!("a machine with UUID {theirs} phoned home, and {ours} was installed"));
    }
    if let (Some(theirs), Some(ours)) = (call.serial.as_deref().and_then(identifying_text), &machine.serial)
        && theirs != ours
    {
        return Some(format!(
            "a machine with serial number {theirs:?} phoned home, and {ours:?} was installed"
        ));
    }
    if !call.macs.is_empty() && !call.macs.iter().any(|mac| machine.macs.contains(mac)) {
        return Some(
            "a machine phoned home that has none of the addresses of the one that was installed".into(),
        );
    }
    None
}

pub(super) fn host(call: &PhoneHome, from: Ipv4Addr, at: u64) -> Host {
    let text = |value: &Option<String>| value.as_deref().and_then(given);
    let keys = [&call.pub_key_ed25519, &call.pub_key_ecdsa, &call.pub_key_rsa];
    let addresses = call.addresses.iter().filter_map(|text| text.trim().parse::<IpAddr>().ok());
    let mut addresses: Vec<IpAddr> = addresses.take(ADDRESSES_MAX).collect();
    addresses.sort();
    addresses.dedup();
    Host {
        at,
        from: from.to_string(),
        hostname: text(&call.fqdn).or(text(&call.hostname)),
        addresses: addresses.iter().map(IpAddr::to_string).collect(),
        ssh_keys: keys.into_iter().filter_map(text).collect(),
        boot_id: text(&call.boot_id),
        kernel: text(&call.kernel),
        os: text(&call.os),
        uptime_secs: call.uptime_secs,
    }
}

/// A field without control characters; cloud-init writes `N/A` for what it lacks.
fn given(text: &str) -> Option<String> {
    let mut text: String = text.trim().chars().filter(|c| !c.is_control()).collect();
    text.truncate(text.floor_char_boundary(FIELD_BYTES_MAX));
    (!text.is_empty() && text != "N/A").then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cloud_init_lacks_is_not_there() {
        let call = PhoneHome {
            hostname: Some("node-1".into()),
            fqdn: Some("N/A".into()),
            pub_key_ed25519: Some("ssh-ed25519 AAAA\n".into()),
            pub_key_rsa: Some("N/A".into()),
            addresses: ["10.0.0.9", "none", " 10.0.0.10", "2001:0db8:0::1", "10.0.0.9"]
                .map(str::to_owned)
                .into(),
            ..PhoneHome::default()
        };
        let host = host(&call, Ipv4Addr::LOCALHOST, 7);
        assert_eq!(host.hostname.as_deref(), Some("node-1"));
        assert_eq!(host.ssh_keys, ["ssh-ed25519 AAAA"]);
        assert_eq!(host.addresses, ["10.0.0.9", "10.0.0.10", "2001:db8::1"]);
    }
}
