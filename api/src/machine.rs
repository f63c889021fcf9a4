//! Machines: one record for each piece of hardware.

use serde::{Deserialize, Serialize};

use crate::{
    AttemptBrief, HardwareSummary, Inventory, MacAddr, MachineHost, MachineProfile, Millis, OperationBrief,
};

/// Whether a machine is known. Only an operator or a rule enrols; being seen never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Enrolment {
    /// Registered by an operator before it was ever seen.
    Registered,
    /// Seen on the network or reported by the agent, not enrolled: still unknown.
    Unenrolled,
    /// Known.
    Enrolled,
}

impl Enrolment {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Unenrolled => "unenrolled",
            Self::Enrolled => "enrolled",
        }
    }
}

/// How a machine's or network's firmware treats unsigned loaders.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SecureBoot {
    /// Offer iPXE; change to shim once this machine's attempts or inventory show that Secure Boot is on.
    #[default]
    Auto,
    /// Always shim, then GRUB.
    On,
    /// Always iPXE.
    Off,
}

/// A machine as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Machine {
    /// A UUID (version 7) given at first sight; never changes.
    pub id: String,
    /// The operator's name for it; a valid hostname, unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it is known.
    pub enrolment: Enrolment,
    /// SMBIOS UUID in its textual form, if it has one that identifies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// System serial number, if it has one that identifies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Asset tag, if it has one that identifies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset_tag: Option<String>,
    /// Every MAC address by which it is known.
    pub macs: Vec<MacAddr>,
    /// Manufacturer, from the last inventory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// Product name, from the last inventory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The operator's tags, sorted.
    pub tags: Vec<String>,
    /// The operator's notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// What to serve this machine's firmware.
    pub secure_boot: SecureBoot,
    /// Whether its firmware enforces Secure Boot, as its last inventory says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_boot_seen: Option<bool>,
    /// An operator asked that its next boot be discovery.
    pub discover_next: bool,
    /// The IPv4 address it was last seen with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// When the record was made.
    pub created_at: Millis,
    /// When anything was last heard of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Millis>,
    /// When its last inventory came in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory_at: Option<Millis>,
    /// Its hardware in a few words, from the last inventory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<Box<HardwareSummary>>,
    /// The profile that was last written to it, or is being written; absent once its disks were wiped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Box<MachineProfile>>,
    /// Its newest boot attempt; only where machines are shown or listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempt: Option<Box<AttemptBrief>>,
    /// The operation that runs on it; only where machines are shown or listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Box<OperationBrief>>,
    /// What runs on it; only where machines are shown or listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Box<MachineHost>>,
    /// The last inventory; only where one machine is shown. Boxed, for ten thousand records have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Box<Inventory>>,
}

impl Machine {
    /// The record of a machine of which nothing is known.
    pub fn new(id: impl Into<String>, created_at: Millis) -> Self {
        Self {
            id: id.into(),
            name: None,
            enrolment: Enrolment::Unenrolled,
            uuid: None,
            serial: None,
            asset_tag: None,
            macs: Vec::new(),
            manufacturer: None,
            product: None,
            tags: Vec::new(),
            notes: None,
            secure_boot: SecureBoot::Auto,
            secure_boot_seen: None,
            discover_next: false,
            address: None,
            created_at,
            seen_at: None,
            inventory_at: None,
            hardware: None,
            profile: None,
            last_attempt: None,
            operation: None,
            host: None,
            inventory: None,
        }
    }

    /// What people call it: its name, else its first MAC address, else the end of its id. Each finds it as a key does. A serial
    /// number does too, but is whatever the machine says: it could spell another one's name, or a command.
    pub fn called(&self) -> String {
        let mac = || self.macs.first().map(ToString::to_string);
        let end_of_id = || crate::human::short(&self.id).to_owned();
        self.name.clone().or_else(mac).unwrap_or_else(end_of_id)
    }
}

/// A machine to register before it is ever seen. At least one of MAC, UUID and serial is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MachineNew {
    /// Name (hostname syntax), unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// MAC addresses in any common spelling.
    #[serde(default)]
    pub macs: Vec<String>,
    /// SMBIOS UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// System serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// A partial change: a field left out stays, `null` clears it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MachinePatch {
    /// Name; `null` removes it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub name: Option<Option<String>>,
    /// Notes; `null` removes them.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub notes: Option<Option<String>>,
    /// All tags, replacing those before. A machine that waits for enrolment is judged by the rules again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Tags that it is to have besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add_tags: Vec<String>,
    /// Tags that it is not to have any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_tags: Vec<String>,
    /// Secure Boot policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<SecureBoot>,
    /// Ask for discovery at the next boot, or take that back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discover_next: Option<bool>,
}

/// Distinguishes `null` (clear it) from a field that was left out (keep it).
fn some<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Which machines to list: all given conditions hold together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields, default)]
pub struct MachineQuery {
    /// Only machines in this enrolment state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enrolment: Option<Enrolment>,
    /// Only the machine of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only machines with this tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Only the machine with this MAC address, in any spelling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Only this manufacturer (case-insensitive).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// Only this product (case-insensitive).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Only machines with this text in name, serial, UUID, asset tag, manufacturer, product, MAC, tag or notes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// At most this many, 1 to 1000; 100 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Leave out this many first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u32>,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// How many there are in all pages.
    pub total: u64,
    /// The limit in force.
    pub limit: u32,
    /// The offset in force.
    pub offset: u32,
}

/// One stored inventory of a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InventoryRecord {
    /// Number within all inventories; larger is later.
    pub id: i64,
    /// When it came in.
    pub at: Millis,
    /// What was reported.
    pub inventory: Inventory,
}

/// One difference between two inventories.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InventoryChange {
    /// Where: a path of field names and keys, such as `disks[S4EWNX0M].size_bytes`.
    pub path: String,
    /// What it was; absent where it was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub before: Option<serde_json::Value>,
    /// What it is; absent where it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub after: Option<serde_json::Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_called_by_what_people_know_of_it() {
        let mut machine = Machine::new("01900000-0000-7000-8000-00000000cafe", 1);
        assert_eq!(machine.called(), "00000000cafe");
        machine.serial = Some("node-7".into());
        assert_eq!(machine.called(), "00000000cafe", "it could be anybody's word");
        machine.macs = vec![MacAddr([0x52, 0x54, 0, 0, 0, 1]), MacAddr([0x52, 0x54, 0, 0, 0, 2])];
        assert_eq!(machine.called(), "52:54:00:00:00:01");
        machine.name = Some("node-7".into());
        assert_eq!(machine.called(), "node-7");
    }
}
