//! Which profiles a machine can be made into, and what is in the way of the others.

use ironwake_api::{Inventory, Machine, OperationKind, ProfileFit};

use super::rebuild::hardware;
use super::{Site, SiteError};
use crate::catalog::Entry;
use crate::profile::{Kind, Written, fits, named_artifacts};

impl Site {
    /// Every profile in the order of names, with what speaks against making this machine into it.
    pub async fn fitting_profiles(&self, key: &str) -> Result<Vec<ProfileFit>, SiteError> {
        let machine = self.machine(key)?;
        let inventory = self.store.inventory(&machine.id).await?.map(|record| record.inventory);
        let layers = self.layers(&machine);
        let fit = |entry: &Entry| {
            let values = layers.resolve(&entry.profile, &Written::new());
            let variables = values.err().unwrap_or_default();
            ProfileFit { variables, ..self.fit(entry, &machine, inventory.as_ref()) }
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
            variables: Vec::new(),
        }
    }
}
