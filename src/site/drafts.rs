//! Operations before they are made: what was asked for becomes a draft, or everything that is wrong with it is told; and dry
//! runs, which end there.

use ironwake_api::{
    ApprovedDisk, DryRun, Enrolment, FieldProblem, Inventory, Machine, OperationKind, OperationNew,
    SettledArtifact,
};

use super::operations::armed_for;
use super::{Site, SiteError};
use crate::operation::{DiskRule, Draft, Rebuild, resolve};

/// Disks that one operation may write.
const DISKS_MAX: usize = 64;

impl Site {
    /// What an operation would be if it was made at this moment, and every mistake in it. Nothing is saved or noted.
    pub async fn dry_run(&self, key: &str, new: &OperationNew) -> Result<DryRun, SiteError> {
        let machine = self.machine(key)?;
        let inventory = self.store.inventory(&machine.id).await?.map(|record| record.inventory);
        let mut mistakes = Vec::new();
        refused("machine", enrolled(&machine), &mut mistakes)?;
        refused("machine", self.refuse_under_operation(&machine.id), &mut mistakes)?;
        refused("armed_secs", armed_for(new.armed_secs).map(drop), &mut mistakes)?;
        let (draft, rebuild) = self.drafted(&machine, new, inventory.as_ref(), &mut mistakes);
        refused("disks", self.refuse_written_since(&draft).await, &mut mistakes)?;
        let mut run = DryRun {
            machine: machine.id.clone(),
            kind: draft.kind,
            mistakes: Vec::new(),
            profile: draft.profile,
            hostname: None,
            artifacts: Vec::new(),
            files: Vec::new(),
            steps: Vec::new(),
            disks: draft.disks,
        };
        if let Some(rebuild) = rebuild {
            let free = self.hostname_is_free(rebuild.hostname.as_deref(), Some(&machine.id));
            refused("hostname", free, &mut mistakes)?;
            run.artifacts = settled(&rebuild);
            if let Some(entry) = self.catalog.get(&rebuild.choice.name) {
                let (disk, given) = (run.disks.first(), &new.variables);
                run.files = self.shown_files(&entry, &machine, inventory.as_ref(), disk, given)?;
                run.steps = entry.profile.login.steps.iter().map(|step| step.name.clone()).collect();
            }
            run.hostname = rebuild.hostname;
        }
        run.mistakes = mistakes;
        Ok(run)
    }

    /// An operation to be made, and what it gives its machine.
    pub(super) fn draft(
        &self,
        machine: &Machine,
        new: &OperationNew,
        inventory: Option<&Inventory>,
    ) -> Result<(Draft, Option<Rebuild>), SiteError> {
        enrolled(machine)?;
        let mut wrong = Vec::new();
        let drafted = self.drafted(machine, new, inventory, &mut wrong);
        if wrong.is_empty() { Ok(drafted) } else { Err(SiteError::Invalid(wrong)) }
    }

    /// An operation as it would be, with everything that is wrong with what was asked for.
    fn drafted(
        &self,
        machine: &Machine,
        new: &OperationNew,
        inventory: Option<&Inventory>,
        wrong: &mut Vec<FieldProblem>,
    ) -> (Draft, Option<Rebuild>) {
        let mut refuse =
            |field: &str, message: String| wrong.push(FieldProblem { field: field.into(), message });
        if new.kind == OperationKind::Rescue && new.profile.is_none() && !self.has_shell() {
            refuse("kind", super::shells::NO_SHELL.into());
        }
        if new.kind == OperationKind::Rebuild && new.disks.len() > 1 {
            refuse("disks", "a rebuild writes one".into());
        }
        let takes_profile = matches!(new.kind, OperationKind::Rebuild | OperationKind::Rescue);
        let has_profile = takes_profile && new.profile.is_some();
        if new.profile.is_some() && !takes_profile {
            refuse("profile", format!("{} takes none", new.kind));
        }
        if !new.variables.is_empty() && !has_profile {
            refuse("variables", format!("{} takes none", new.kind));
        }
        if new.kind.writes() && new.disks.is_empty() {
            refuse(
                "disks",
                format!("{} writes: name each disk by a rule such as serial=TEXT or smallest", new.kind),
            );
        }
        if !new.kind.writes() && !new.disks.is_empty() {
            refuse("disks", format!("{} writes to none", new.kind));
        }
        if new.disks.len() > DISKS_MAX {
            refuse("disks", format!("{} are more than {DISKS_MAX}", new.disks.len()));
        }
        let mut disks: Vec<ApprovedDisk> = Vec::new();
        for (n, text) in new.disks.iter().enumerate().take(DISKS_MAX) {
            let field = format!("disks[{n}]");
            let Some(inventory) = inventory else {
                refuse(&field, "the machine has no inventory yet, so nobody knows its disks".into());
                continue;
            };
            match text.parse::<DiskRule>() {
                Err(error) => refuse(&field, error.to_string()),
                Ok(rule) => match resolve(&rule, inventory) {
                    Err(error) => refuse(&field, error.to_string()),
                    Ok(disk) if disks.contains(&disk) => {
                        refuse(&field, format!("{} is named twice", disk.name))
                    }
                    Ok(disk) => disks.push(disk),
                },
            }
        }
        let rebuild = match new.kind {
            OperationKind::Rebuild => self.rebuild(machine, new, disks.first(), inventory, wrong),
            OperationKind::Rescue if new.profile.is_some() => {
                self.rebuild(machine, new, None, inventory, wrong)
            }
            _ => None,
        };
        let profile = rebuild.as_ref().map(|rebuild| rebuild.choice.clone());
        let machine = machine.id.clone();
        (Draft { machine, kind: new.kind, profile, disks, retry_of: None }, rebuild)
    }
}

/// Only what is known is worked on.
fn enrolled(machine: &Machine) -> Result<(), SiteError> {
    match machine.enrolment {
        Enrolment::Enrolled => Ok(()),
        _ => {
            let called = machine.called();
            Err(SiteError::Conflict(format!(
                "machine {called} is not enrolled: `ironwake machine enroll {called}` makes it known"
            )))
        }
    }
}

/// Notes a refusal as a mistake in `field`, unless it names fields itself. A store that fails is no mistake of anybody's.
fn refused(
    field: &str,
    result: Result<(), SiteError>,
    mistakes: &mut Vec<FieldProblem>,
) -> Result<(), SiteError> {
    match result {
        Ok(()) => {}
        Err(SiteError::Store(error)) => return Err(error.into()),
        Err(SiteError::Invalid(fields)) => mistakes.extend(fields),
        Err(error) => mistakes.push(FieldProblem { field: field.into(), message: error.to_string() }),
    }
    Ok(())
}

/// What an operation needs, each once.
fn settled(rebuild: &Rebuild) -> Vec<SettledArtifact> {
    let mut all: Vec<SettledArtifact> = rebuild
        .needs()
        .map(|(name, sha256)| SettledArtifact { name: name.to_owned(), sha256: sha256.to_owned() })
        .collect();
    all.sort_by(|a, b| (&a.name, &a.sha256).cmp(&(&b.name, &b.sha256)));
    all.dedup();
    all
}
