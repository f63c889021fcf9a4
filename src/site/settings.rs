//! Settings that operators change: written as a whole, and those that can be are in force at once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, RwLock};

use ironwake_api::{Actor, EventKind, FieldProblem, Millis, Setting, Settings};
use serde_json::Value as Json;

use super::{Site, SiteError};
use crate::appliance::check_server;
use crate::config::{Config, DhcpMode, EnrolmentPolicy, Layers, Network, Planned, SettingsError, SiteValues};
use crate::document::SECRET_KEYS;
use crate::machine::{EnrolmentRule, HostnamePolicy};
use crate::profile::{HIDDEN, Written};
use crate::store::StoreError;

/// Keys that are in force at once, and all below them; every other one counts from the next start on.
const AT_ONCE: &[&str] =
    &["enrolment", "hostnames", "values", "tag", "discovery.rediscover_after", "console.lock_after"];

/// What of the configuration can change while the site runs.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub rediscover_after: Millis,
    pub policy: EnrolmentPolicy,
    pub rules: Vec<EnrolmentRule>,
    pub hostnames: HostnamePolicy,
    pub values: SiteValues,
    pub lock_after: Option<Millis>,
}

impl From<&Config> for Live {
    fn from(config: &Config) -> Self {
        Self {
            rediscover_after: config.discovery.rediscover_after.as_millis() as Millis,
            policy: config.enrolment.policy,
            rules: config.enrolment.rules.clone(),
            hostnames: config.hostnames.clone(),
            values: config.values.clone(),
            lock_after: config.console.lock_after.map(|limit| limit.as_millis() as Millis),
        }
    }
}

/// What is in force, and where it is written.
pub(super) struct InForce {
    live: RwLock<Arc<Live>>,
    layers: RwLock<Option<Arc<Layers>>>,
    /// What waits for the next start.
    restart: Mutex<BTreeSet<String>>,
}

impl InForce {
    pub fn new(config: &Config) -> Self {
        let live = RwLock::new(Arc::new(config.into()));
        Self { live, layers: RwLock::default(), restart: Mutex::default() }
    }
}

impl Site {
    /// What of the configuration can change.
    pub(super) fn live(&self) -> Arc<Live> {
        self.in_force.live.read().expect("no panic while held").clone()
    }

    /// Settings are written here.
    pub fn set_layers(&self, layers: Layers) {
        *self.in_force.layers.write().expect("no panic while held") = Some(Arc::new(layers));
    }

    pub(super) fn layers_of_settings(&self) -> Result<Arc<Layers>, SiteError> {
        let layers = self.in_force.layers.read().expect("no panic while held").clone();
        layers.ok_or_else(|| SiteError::Settings("this daemon has no file of settings".into()))
    }

    /// Every setting, and what waits for the next start.
    pub async fn all_settings(&self) -> Result<Settings, SiteError> {
        let layers = self.layers_of_settings()?;
        let shown = tokio::task::spawn_blocking(move || layers.shown()).await;
        let settings = shown.map_err(|_| StoreError::Closed)?.map_err(refused)?;
        let restart = self.in_force.restart.lock().expect("no panic while held").iter().cloned().collect();
        let settings = settings.into_iter().map(|setting| self.veiled(setting)).collect();
        Ok(Settings { settings, restart, warnings: Vec::new() })
    }

    /// A setting as it may be shown.
    fn veiled(&self, setting: Setting) -> Setting {
        if setting.key.rsplit('.').next().is_some_and(|name| SECRET_KEYS.contains(&name)) {
            return Setting { value: HIDDEN.into(), ..setting };
        }
        let of_tag =
            |key: &str| key.strip_prefix("tag.")?.rsplit_once(".values.").map(|(_, name)| name.to_owned());
        let name = setting.key.strip_prefix("values.").map(str::to_owned).or_else(|| of_tag(&setting.key));
        let Some(name) = name else { return setting };
        let shown = self.shown_values(&Written::from([(name.clone(), Json::Null)]));
        match shown.get(&name) {
            Some(Json::Null) => setting,
            _ => Setting { value: HIDDEN.into(), ..setting },
        }
    }

    /// What a merge patch would make of the settings; refuses what could not be changed so.
    pub(super) async fn plan_settings(&self, patch: &Json) -> Result<Planned, SiteError> {
        let (layers, patch) = (self.layers_of_settings()?, patch.clone());
        let planned = tokio::task::spawn_blocking(move || layers.plan(&patch)).await;
        planned.map_err(|_| StoreError::Closed)?.map_err(refused)
    }

    /// Changes settings by a merge patch: the whole is checked before any of it is written, and networks that are changed
    /// against the interfaces of this host.
    pub async fn change_settings(&self, patch: Json, actor: Actor) -> Result<Settings, SiteError> {
        let planned = self.plan_settings(&patch).await?;
        let warnings = match planned.keys.iter().any(|key| key.starts_with("network")) {
            true => self.check_networks(&planned.config.networks).await?,
            false => Vec::new(),
        };
        self.write_settings(patch, actor).await?;
        Ok(Settings { warnings, ..self.all_settings().await? })
    }

    /// What is to be looked at before these networks are served; refuses what is known to go wrong.
    async fn check_networks(&self, networks: &[Network]) -> Result<Vec<String>, SiteError> {
        // Without the appliance's system nothing is known of its interfaces.
        let Ok(own) = self.own() else { return Ok(Vec::new()) };
        let interfaces = own.interfaces().await?;
        let (mut warnings, mut wrong) = (Vec::new(), Vec::new());
        for (number, network) in networks.iter().enumerate() {
            let name = &network.interface;
            if (own.appliance.index_of)(name).is_none() {
                warnings
                    .push(format!("there is no interface {name} at present: it is served once it is there"));
            }
            let found = interfaces.iter().find(|found| found.name == *name);
            let Some(found) = found.filter(|_| network.dhcp == DhcpMode::Server) else { continue };
            match check_server(found, own.address_origin(name).await) {
                Ok(warning) => warnings.extend(warning),
                Err(why) => {
                    let next = format!(
                        "`ironwake system network {name} --address ADDRESS/PREFIX` gives it one, and `ironwake system \
                         confirm` keeps it"
                    );
                    let field = format!("network[{number}].dhcp");
                    wrong.push(FieldProblem { field, message: format!("{why}; {next}") });
                }
            }
        }
        if wrong.is_empty() { Ok(warnings) } else { Err(SiteError::Invalid(wrong)) }
    }

    /// Writes a change that was looked at before.
    pub(super) async fn write_settings(&self, patch: Json, actor: Actor) -> Result<(), SiteError> {
        let layers = self.layers_of_settings()?;
        let _gate = self.gate.lock().await;
        let changed = tokio::task::spawn_blocking(move || {
            let planned = layers.plan(&patch)?;
            if !planned.keys.is_empty() {
                layers.save(&planned)?;
            }
            Ok::<_, SettingsError>(planned)
        });
        // It does not panic, so the runtime is going down.
        let planned = changed.await.map_err(|_| StoreError::Closed)?.map_err(refused)?;
        if !planned.keys.is_empty() {
            *self.in_force.live.write().expect("no panic while held") = Arc::new((&planned.config).into());
            let waits = planned.keys.iter().filter(|key| !is_at_once(key)).cloned();
            self.in_force.restart.lock().expect("no panic while held").extend(waits);
            let event = self.event(actor, None, EventKind::SettingsChanged { keys: planned.keys });
            self.store.save(vec![event]).await?;
        }
        Ok(())
    }
}

fn is_at_once(key: &str) -> bool {
    AT_ONCE.iter().any(|above| {
        key.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

/// Mistakes are told as they are for a file; the rest with its cause.
fn refused(error: SettingsError) -> SiteError {
    use std::error::Error as _;
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    SiteError::Settings(format!("{error}{cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_at_once_is_known_by_its_key() {
        let check = |key: &str, expected: bool| assert_eq!(is_at_once(key), expected, "{key}");
        check("enrolment.rule[0].name", true);
        check("values.timezone", true);
        check("tag.\"rack=a\".values.x", true);
        check("discovery.rediscover_after", true);
        check("console.lock_after", true);
        check("console.authorized_keys", false);
        check("discovery.enabled", false);
        check("network[0].dhcp", false);
        check("http.listen", false);
        check("valuesx", false);
    }
}
