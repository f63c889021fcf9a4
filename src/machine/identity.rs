//! What identifies a machine, with junk left out.

use ironwake_api::{Inventory, MacAddr};
use uuid::Uuid;

/// The keys by which a machine is known. Only values that identify get in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// SMBIOS UUID.
    pub uuid: Option<Uuid>,
    /// System serial number.
    pub serial: Option<String>,
    /// Chassis asset tag.
    pub asset_tag: Option<String>,
    /// Addresses of its interfaces, sorted, without duplicates.
    pub macs: Vec<MacAddr>,
}

impl Identity {
    /// From what the agent reported. The boot interface's address counts even when it is missing among the NICs.
    pub fn of_inventory(inventory: &Inventory, boot_mac: MacAddr) -> Self {
        let mut macs: Vec<MacAddr> = inventory
            .nics
            .iter()
            .flat_map(|nic| [nic.permanent_mac, nic.mac])
            .flatten()
            .chain([boot_mac])
            .filter(MacAddr::is_unicast)
            .collect();
        macs.sort();
        macs.dedup();
        let text = |value: &Option<String>| value.as_deref().and_then(identifying_text).map(str::to_owned);
        Self {
            uuid: inventory
                .system
                .uuid
                .as_deref()
                .and_then(|text| Uuid::parse_str(text).ok())
                .filter(identifying_uuid),
            serial: text(&inventory.system.serial),
            asset_tag: text(&inventory.chassis.asset_tag),
            macs,
        }
    }

    /// From one packet: an address, and a UUID if it carried one.
    pub fn of_sighting(mac: MacAddr, uuid: Option<Uuid>) -> Self {
        Self { uuid: uuid.filter(identifying_uuid), macs: vec![mac], ..Self::default() }
    }
}

/// Values that vendors leave in serial number and asset tag fields, lower case.
const JUNK_TEXTS: &[&str] = &[
    "asset tag",
    "asset-1234567890",
    "base board asset tag",
    "base board serial number",
    "chassis asset tag",
    "chassis serial number",
    "default",
    "default string",
    "empty",
    "fill by oem",
    "invalid",
    "n/a",
    "na",
    "nil",
    "no asset information",
    "no asset tag",
    "none",
    "not applicable",
    "not available",
    "not defined",
    "not present",
    "not provided",
    "not settable",
    "not specified",
    "null",
    "o.e.m.",
    "oem",
    "oem-specific",
    "serial",
    "serial number",
    "sn",
    "standard",
    "system manufacturer",
    "system product name",
    "system serial number",
    "tbd",
    "to be filled by o.e.m",
    "to be filled by o.e.m.",
    "to be filled by oem",
    "type2 - board serial number",
    "undefined",
    "unknown",
    "unspecified",
    "xxxxxxxxxx",
];

/// The text without white space around it, if it can tell one machine from another.
pub fn identifying_text(text: &str) -> Option<&str> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    let significant = || text.bytes().filter(u8::is_ascii_alphanumeric);
    let first = significant().next()?;
    let one_character = significant().all(|b| b.eq_ignore_ascii_case(&first));
    let counting = {
        let digits: Vec<u8> = significant().collect();
        digits.len() > 3
            && digits.windows(2).all(|pair| pair[1] == pair[0] + 1 || (pair[0], pair[1]) == (b'9', b'0'))
    };
    let junk = JUNK_TEXTS.binary_search(&text.to_ascii_lowercase().as_str()).is_ok();
    (!one_character && !counting && !junk).then_some(text)
}

/// UUIDs that whole batches of boards carry.
const JUNK_UUIDS: &[u128] = &[
    0x03000200_0400_0500_0006_000700080009, // AMI's sample value
    0x00020003_0004_0005_0006_000700080009, // the same, byte-swapped
    0x12345678_1234_5678_90ab_cddeefaabbcc, // a counting pattern
    0x78563412_3412_7856_90ab_cddeefaabbcc, // the same, byte-swapped
    0x4c4c4544_0000_2010_8020_80c04f202020, // Dell without a service tag
    0x44454c4c_0000_1020_8020_80c04f202020, // the same, byte-swapped
    0x00112233_4455_6677_8899_aabbccddeeff, // a counting pattern
    0x33221100_5544_7766_8899_aabbccddeeff, // the same, byte-swapped
];

/// Whether a UUID can tell one machine from another.
pub fn identifying_uuid(uuid: &Uuid) -> bool {
    let bytes = uuid.as_bytes();
    bytes.iter().any(|b| *b != bytes[0]) && !JUNK_UUIDS.contains(&uuid.as_u128())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, identifies: bool) {
        assert_eq!(identifying_text(text).is_some(), identifies, "{text:?}");
    }

    #[test]
    fn junk_serials_identify_nothing() {
        check("To Be Filled By O.E.M.", false);
        check(" to be filled by o.e.m.\0", false);
        check("Default string", false);
        check("System Serial Number", false);
        check("0000000000", false);
        check(&"X".repeat(8), false);
        check("........", false);
        check("", false);
        check("123456789", false);
        check("0123456789", false);
        check("1234567890", false);
        check("PF2ABC1D", true);
        check("1234567891", true);
        check("CZJ1230ABC", true);
        check("ABC", true);
    }

    #[test]
    fn the_junk_table_is_sorted_for_its_search() {
        assert!(JUNK_TEXTS.is_sorted());
    }

    #[test]
    fn junk_uuids_identify_nothing() {
        let check = |text: &str, identifies| {
            assert_eq!(identifying_uuid(&Uuid::parse_str(text).unwrap()), identifies, "{text}");
        };
        check("00000000-0000-0000-0000-000000000000", false);
        check("ffffffff-ffff-ffff-ffff-ffffffffffff", false);
        check("fefefefe-fefe-fefe-fefe-fefefefefefe", false);
        check("03000200-0400-0500-0006-000700080009", false);
        check("4c4c4544-0000-2010-8020-80c04f202020", false);
        check("8a3f1c52-7d0e-4b11-9f65-2f1f0e6a9b01", true);
    }
}
