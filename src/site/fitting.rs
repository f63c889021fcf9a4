//! Which profiles a machine can be made into, and what is in the way of the others.

use std::collections::BTreeMap;

use ironwake_api::{GivenValue, Inventory, Machine, OperationKind, ProfileFit};

use super::rebuild::hardware;
use super::{Site, SiteError};
use crate::catalog::Entry;
use crate::profile::{HIDDEN, Kind, Origin, Setting, Values, fits, named_artifacts};

impl Site {
    /// Every profile in the order of names, with what speaks against making this machine into it.
    pub async fn fitting_profiles(&self, key: &str) -> Result<Vec<ProfileFit>, SiteError> {
        let machine = self.machine(key)?;
        let inventory = self.store.inventory(&machine.id).await?.map(|record| record.inventory);
        let layers = self.layers(&machine);
        let fit = |entry: &Entry| {
            let (values, variables) = layers.settle(&entry.profile);
            ProfileFit { given: given(&values), variables, ..self.fit(entry, &machine, inventory.as_ref()) }
        };
        Ok(self.catalog.list().iter().map(|entry| fit(entry)).collect())
    }

    /// How the machine's hardware suits a profile, and what of it is here; its variables are left out.
    fn fit(&self, entry: &Entry, machine: &Machine, inventory: Option<&Inventory>) -> ProfileFit {
        let profile = &entry.profile;
        let mut reasons = fits(profile, hardware(machine, inventory, None));
        if profile.kind.writes() && inventory.is_none() {
            reasons.push("the machine has no inventory yet, so nobody knows its disks".into());
        }
        let large = |disk: &&ironwake_api::Disk| {
            disk.size_bytes >= profile.needs.disk_bytes.max(1) && disk.read_only != Some(true)
        };
        let disks = inventory.filter(|_| profile.kind.writes()).map(|inventory| &inventory.disks);
        let is_image = matches!(profile.kind, Kind::Image { .. });
        let named = named_artifacts(profile).into_iter();
        let missing = named.filter_map(|name| match is_image {
            true => self.imports.image(&name).is_none().then(|| self.how_to_get(&name)),
            // Nobody imports it: it is made of what is here, at each start.
            false if self.comes(&name) => Some(format!(
                "{name:?} is not made yet: `ironwake artifact list` shows how far it is, or what is in its way"
            )),
            false => self.loaded(&name).err(),
        });
        ProfileFit {
            name: profile.name.clone(),
            version: profile.version.clone(),
            kind: profile.kind.name().into(),
            summary: profile.summary.clone(),
            operation: match profile.kind {
                Kind::Image { .. } | Kind::Installer { .. } => Some(OperationKind::Rebuild),
                Kind::Live { .. } => Some(OperationKind::Rescue),
                Kind::Local => None,
            },
            fits: reasons.is_empty(),
            reasons,
            disks: disks.into_iter().flatten().filter(large).map(|disk| disk.name.clone()).collect(),
            missing: missing.collect(),
            given: BTreeMap::new(),
            variables: Vec::new(),
        }
    }
}

/// What is written for a machine anywhere but in the profile, secrets masked.
fn given(values: &Values) -> BTreeMap<String, GivenValue> {
    let shown = |setting: &Setting| match setting {
        Setting::Unset | Setting::Plain(_, Origin::Profile) => None,
        Setting::Plain(value, from) => Some(GivenValue { value: value.into(), from: from.to_string() }),
        Setting::Secret(_, from) | Setting::Masked(from) => {
            Some(GivenValue { value: HIDDEN.into(), from: from.to_string() })
        }
    };
    values.iter().filter_map(|(name, setting)| Some((name.to_owned(), shown(setting)?))).collect()
}
