//! What operators see of profiles.

use ironwake_api::{
    ApprovedDisk, Inventory, Machine, ProfileSummary, ProfileVariable, Profiles, RefusedProfile,
    RenderRequest, RenderedFile,
};

use super::rebuild::{facts, nowhere, seen};
use super::{NOWHERE, Site, SiteError};
use crate::catalog::Entry;
use crate::operation::{DiskRule, resolve};
use crate::profile::{Input, Rendered, RenderedBoot, ServedFile, Variable, Written, render};

impl Site {
    /// Every profile in force, and the folders that are refused.
    pub fn profiles(&self) -> Profiles {
        let refused = self.catalog.refused().into_iter();
        Profiles {
            profiles: self.catalog.list().iter().map(|entry| summary(entry)).collect(),
            refused: refused
                .map(|folder| RefusedProfile { folder: folder.folder, mistakes: folder.mistakes })
                .collect(),
        }
    }

    /// One profile.
    pub fn profile(&self, name: &str) -> Result<ProfileSummary, SiteError> {
        self.catalog
            .get(name)
            .map(|entry| summary(&entry))
            .ok_or_else(|| SiteError::NoSuchProfile(name.to_owned()))
    }

    /// Reads profiles again that have changed; to be called about once a second.
    pub fn refresh_profiles(&self) {
        self.catalog.refresh();
    }

    /// What a profile gives for a machine, without secrets and tokens.
    pub async fn render_profile(
        &self,
        name: &str,
        request: &RenderRequest,
    ) -> Result<Vec<RenderedFile>, SiteError> {
        let entry = self.catalog.get(name).ok_or_else(|| SiteError::NoSuchProfile(name.to_owned()))?;
        let machine = self.machine(&request.machine)?;
        let inventory = self.store.inventory(&machine.id).await?.map(|record| record.inventory);
        let Some(inventory) = inventory else {
            return Err(SiteError::Conflict(format!("machine {} has no inventory yet", machine.called())));
        };
        let disk = match request.disk.as_deref().or(entry.profile.kind.writes().then_some("only")) {
            Some(rule) => {
                let wrong = |message: String| SiteError::invalid("disk", message);
                let rule = rule.parse::<DiskRule>().map_err(|error| wrong(error.to_string()))?;
                Some(resolve(&rule, &inventory).map_err(|error| wrong(error.to_string()))?)
            }
            // What runs in memory has none.
            None => None,
        };
        self.shown_files(&entry, &machine, Some(&inventory), disk.as_ref(), &request.variables)
    }

    /// What a profile gives for a machine and the disk that it would be written to, with `***` for each secret.
    pub(super) fn shown_files(
        &self,
        entry: &Entry,
        machine: &Machine,
        inventory: Option<&Inventory>,
        disk: Option<&ApprovedDisk>,
        variables: &Written,
    ) -> Result<Vec<RenderedFile>, SiteError> {
        let layers = self.layers(machine);
        let values = layers.resolve(&entry.profile, variables).map_err(SiteError::Invalid)?.masked();
        let hostname = self.hostname_for(machine, inventory, &layers);
        let hostname = hostname.map_err(|error| SiteError::invalid("hostname", error.to_string()))?;
        let mut facts = facts(machine, &hostname, seen(machine, inventory), disk, "", NOWHERE, &nowhere());
        facts.artifacts = self.published(NOWHERE);
        facts.operation.heartbeat_secs = entry.profile.heartbeat_secs;
        let rendered = render(&entry.profile, &values, &facts);
        Ok(files(rendered.map_err(|error| SiteError::invalid("profile", error.to_string()))?))
    }
}

fn summary(entry: &Entry) -> ProfileSummary {
    let profile = &entry.profile;
    ProfileSummary {
        name: profile.name.clone(),
        version: profile.version.clone(),
        kind: profile.kind.name().into(),
        summary: profile.summary.clone(),
        origin: entry.origin.clone(),
        variables: profile.variables.iter().map(|(name, variable)| shown(name, variable)).collect(),
    }
}

/// A variable as the profile says it.
fn shown(name: &str, variable: &Variable) -> ProfileVariable {
    let (choices, limits) = match &variable.input {
        Input::Choice(words) => (words.clone(), None),
        Input::String(limits) | Input::Text(limits) | Input::Integer(limits) | Input::List(limits) => {
            (Vec::new(), Some(limits))
        }
        Input::Boolean | Input::Hostname | Input::Address | Input::Cidr | Input::SshKeys => {
            (Vec::new(), None)
        }
    };
    ProfileVariable {
        name: name.to_owned(),
        kind: variable.input.name().into(),
        required: variable.required,
        secret: variable.secret,
        help: variable.help.clone(),
        default: variable.default.as_ref().map(Into::into),
        choices,
        min: limits.and_then(|limits| limits.min),
        max: limits.and_then(|limits| limits.max),
        pattern: limits.and_then(|limits| limits.pattern.clone()),
    }
}

fn files(rendered: Rendered) -> Vec<RenderedFile> {
    let booted = |boot: RenderedBoot, files: Vec<ServedFile>| {
        let line = RenderedFile { place: "command line".into(), content: boot.command_line.reveal().clone() };
        let served = files.into_iter().map(|file| RenderedFile { place: file.name, content: file.content });
        std::iter::once(line).chain(served).collect()
    };
    match rendered {
        Rendered::Image { files, .. } => {
            files.into_iter().map(|file| RenderedFile { place: file.path, content: file.content }).collect()
        }
        Rendered::Installer { boot, files } | Rendered::Live { boot, files } => booted(boot, files),
        Rendered::Local => Vec::new(),
    }
}
