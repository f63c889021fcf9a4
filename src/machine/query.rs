//! Which machines a query selects.

use ironwake_api::{MacAddr, Machine, MachineQuery};

/// How many machines a page has when the query does not say.
pub const LIMIT_DEFAULT: u32 = 100;
/// How many machines a page has at most: a page of these is about 1 MB.
pub const LIMIT_MAX: u32 = 1000;

/// Whether `machine` fits every condition of `query`. A MAC address that cannot be read fits none.
pub fn matches(machine: &Machine, query: &MachineQuery) -> bool {
    let same = |value: &Option<String>, wanted: &Option<String>| match wanted {
        None => true,
        Some(wanted) => value.as_ref().is_some_and(|value| value.eq_ignore_ascii_case(wanted)),
    };
    let mac_fits = match &query.mac {
        None => true,
        Some(text) => text.parse::<MacAddr>().is_ok_and(|mac| machine.macs.contains(&mac)),
    };
    query.enrolment.is_none_or(|enrolment| machine.enrolment == enrolment)
        && same(&machine.name, &query.name)
        && same(&machine.manufacturer, &query.manufacturer)
        && same(&machine.product, &query.product)
        && query.tag.as_ref().is_none_or(|tag| machine.tags.contains(tag))
        && mac_fits
        && query.search.as_ref().is_none_or(|text| contains(machine, text))
}

fn contains(machine: &Machine, text: &str) -> bool {
    let text = text.to_lowercase();
    let options = [
        &machine.name,
        &machine.serial,
        &machine.uuid,
        &machine.asset_tag,
        &machine.manufacturer,
        &machine.product,
        &machine.notes,
        &machine.address,
    ];
    let mut values = options.into_iter().flatten().chain(&machine.tags);
    values.any(|value| value.to_lowercase().contains(&text))
        || machine.macs.iter().any(|mac| mac.to_string().contains(&text) || mac.dashed().contains(&text))
}
