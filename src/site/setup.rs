//! The first set-up: everything in one document, checked as a whole and done in an order that leaves the appliance
//! reachable. Each step is an event, and all of it may be asked for again.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Mutex;

use ipnet::Ipv4Net;
use ironwake_api::{
    Actor, DhcpChoice, EventKind, FieldProblem, MacAddr, Millis, OwnAddress, Setup, SetupAnswer, SetupDhcp,
    SetupDryRun, SetupInterface, SetupState, SetupStep, SystemAction, SystemInterface,
};
use serde_json::json;

use super::own_address::surroundings;
use super::system::Own;
use super::{Site, SiteError};
use crate::appliance::{
    Address, Step, check_patch, check_setup, file_name, network_file, suggested_beside, suggested_range,
};
use crate::config::parse_range;
use crate::systemd::DAEMON;

/// How long it is good what a network answered: a wizard's page, and not a server that was plugged in since.
const ASKED_GOOD: Millis = 30_000;
/// Between the answer to a set-up and the restart of the daemon, which ends the connection that the answer goes over.
const RESTART_AFTER: Millis = 1_000;

/// Asks who gives addresses on an interface, and waits for so long.
pub type AskDhcp =
    fn(String) -> std::pin::Pin<Box<dyn Future<Output = Result<Vec<Ipv4Addr>, String>> + Send>>;

/// What is kept of a set-up.
#[derive(Default)]
pub(super) struct Begun {
    /// By interface.
    asked: Mutex<HashMap<String, SetupDhcp>>,
    /// Held while the networks are asked: whoever comes meanwhile gets the same answer.
    asking: tokio::sync::Mutex<()>,
}

/// A set-up that was looked at: it can be done, as far as can be known.
struct Looked {
    /// Name, time and keyboard.
    steps: Vec<Step>,
    /// The settings, as a merge patch.
    settings: serde_json::Value,
    /// The interface's address, as it was asked for and as it will be; none where it stays as it is.
    address: Option<(OwnAddress, Address)>,
    /// What is to be looked at, for nobody knows it here.
    warnings: Vec<String>,
}

impl Looked {
    /// What the host has to be able to do.
    fn actions(&self) -> Vec<SystemAction> {
        let address = self.address.as_ref().map(|_| SystemAction::Network);
        self.steps.iter().map(Step::action).chain(address).collect()
    }

    /// Name, time and keyboard in words, which are one step.
    fn system_words(&self) -> Option<String> {
        let words: Vec<String> = self.steps.iter().map(ToString::to_string).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// Every step in words.
    fn words(&self, setup: &Setup) -> Vec<String> {
        let address = self.address.as_ref();
        let address = address.map(|(_, address)| address_words(&setup.interface, &address.to_string()));
        self.system_words().into_iter().chain([served_words(setup)]).chain(address).collect()
    }
}

fn served_words(setup: &Setup) -> String {
    format!("{} is served, DHCP {}", setup.interface, setup.dhcp.name())
}

fn address_words(interface: &str, to: &str) -> String {
    format!("{interface} gets {to}")
}

/// Where a set-up asks for something.
fn field_of(action: SystemAction) -> &'static str {
    match action {
        SystemAction::Hostname => "system.hostname",
        SystemAction::Timezone => "system.timezone",
        SystemAction::Ntp => "system.ntp",
        SystemAction::NtpServers => "system.ntp_servers",
        SystemAction::Keyboard => "system.keyboard",
        SystemAction::Network => "address",
        SystemAction::Restart | SystemAction::Reboot | SystemAction::PowerOff => "system",
    }
}

fn mistake(field: &str, error: &SiteError) -> FieldProblem {
    FieldProblem { field: field.to_owned(), message: error.to_string() }
}

impl Site {
    /// Whether the appliance is as it was made, and what there is to choose from.
    pub async fn setup_state(&self, ask: bool) -> Result<SetupState, SiteError> {
        let own = self.own()?;
        let interfaces = own.interfaces().await?;
        if ask {
            let linked = interfaces.iter().filter(|found| found.mac.is_some() && found.link);
            self.ask_for_servers(linked.map(|found| found.name.clone()).collect()).await;
        }
        let asked = own.setup.asked.lock().expect("no panic while held").clone();
        let shown = |mac: MacAddr, found: SystemInterface| {
            let net = found.addresses.iter().find_map(|text| text.parse::<Ipv4Net>().ok());
            let range = net.and_then(suggested_range);
            SetupInterface {
                dhcp: asked.get(&found.name).cloned(),
                suggested: DhcpChoice::Proxy,
                suggested_range: range.map(|range| format!("{}-{}", range.start(), range.end())),
                name: found.name,
                mac,
                up: found.up,
                link: found.link,
                addresses: found.addresses,
            }
        };
        let interfaces = interfaces.into_iter().filter_map(|found| Some(shown(found.mac?, found))).collect();
        Ok(SetupState { needed: own.appliance.networks.is_empty(), interfaces })
    }

    /// Looks for DHCP servers where that was not done lately.
    async fn ask_for_servers(&self, interfaces: Vec<String>) {
        let Ok(own) = self.own() else { return };
        let _asking = own.setup.asking.lock().await;
        let fresh = |name: &String| {
            let asked = own.setup.asked.lock().expect("no panic while held");
            asked.get(name).is_some_and(|asked| self.now().saturating_sub(asked.asked_at) < ASKED_GOOD)
        };
        let stale = interfaces.into_iter().filter(|name| !fresh(name));
        let asked = stale.map(|name| async { (name.clone(), (own.appliance.ask_dhcp)(name).await) });
        for (name, answer) in futures_util::future::join_all(asked).await {
            let (servers, problem) = match answer {
                Ok(servers) => (servers.iter().map(ToString::to_string).collect(), None),
                Err(why) => (Vec::new(), Some(why)),
            };
            let found = SetupDhcp { asked_at: self.now(), servers, problem };
            own.setup.asked.lock().expect("no panic while held").insert(name, found);
        }
    }

    /// What a set-up would do if it was asked for at this moment, and every mistake in it. Nothing is saved or noted.
    pub async fn dry_run_setup(&self, setup: &Setup) -> Result<SetupDryRun, SiteError> {
        let own = self.own()?;
        let interfaces = own.interfaces().await?;
        let range = suggested_beside(setup, &interfaces);
        let mut run = SetupDryRun {
            suggested_range: range.map(|range| format!("{}-{}", range.start(), range.end())),
            restarts: own.available(&[SystemAction::Restart]).await.is_ok(),
            ..SetupDryRun::default()
        };
        match self.looked_at(&own, setup, interfaces).await {
            Ok(looked) => {
                for action in looked.actions() {
                    if let Err(error) = own.available(&[action]).await {
                        run.mistakes.push(mistake(field_of(action), &error));
                    }
                }
                if run.mistakes.is_empty() {
                    run.confirms = looked.address.is_some();
                    run.steps = looked.words(setup);
                    run.warnings = looked.warnings;
                }
            }
            Err(SiteError::Invalid(mistakes)) => run.mistakes = mistakes,
            Err(error @ SiteError::Settings(_)) => {
                run.mistakes = vec![self.mistake_of_settings(&error).await]
            }
            Err(error) => return Err(error),
        }
        Ok(run)
    }

    /// What the settings have against a set-up. What is wrong in them without it is not shown: whoever may read may ask, and
    /// their lines are for administrators.
    async fn mistake_of_settings(&self, error: &SiteError) -> FieldProblem {
        match self.plan_settings(&json!({})).await {
            Ok(_) => mistake("network", error),
            Err(_) => FieldProblem {
                field: "network".into(),
                message: "the settings have mistakes of their own: `ironwake config check` shows them".into(),
            },
        }
    }

    /// Looks at all of a set-up; says every mistake in it. Nothing is done.
    async fn looked_at(
        &self,
        own: &Own,
        setup: &Setup,
        interfaces: Vec<SystemInterface>,
    ) -> Result<Looked, SiteError> {
        if !own.appliance.networks.is_empty() {
            let message = "it is set up already: change its settings (`ironwake config set`) and its system \
                           (`ironwake system set`)";
            return Err(SiteError::Conflict(message.into()));
        }
        let choices = self.system_choices().await?;
        let mut around = surroundings(&own.appliance, interfaces);
        if setup.dhcp == DhcpChoice::Server && setup.address.is_none() {
            let origin = own.address_origin(&setup.interface).await;
            around.origins.insert(setup.interface.clone(), origin);
        }
        let mut wrong = Vec::new();
        let steps = check_patch(&setup.system, &choices).unwrap_or_else(|mistakes| {
            wrong.extend(mistakes.into_iter().map(|mut mistake| {
                mistake.field.insert_str(0, "system.");
                mistake
            }));
            Vec::new()
        });
        let planned = check_setup(setup, &around, parse_range).map_err(|mistakes| wrong.extend(mistakes));
        let (Ok(planned), true) = (planned, wrong.is_empty()) else { return Err(SiteError::Invalid(wrong)) };
        self.plan_settings(&planned.settings).await?;
        let address = match (&setup.address, planned.address) {
            (Some(asked), Some(address)) => {
                let text = network_file(&setup.interface, &address);
                let same = own.file_of(&file_name(&setup.interface)).await?.as_deref() == Some(&text);
                (!same).then(|| (asked.clone(), address))
            }
            _ => None,
        };
        Ok(Looked { steps, settings: planned.settings, address, warnings: planned.warnings })
    }

    /// Sets the appliance up.
    pub async fn set_up(&self, setup: Setup, actor: Actor) -> Result<SetupAnswer, SiteError> {
        let own = self.own()?;
        // All of it is looked at before any of it is done.
        let looked = self.looked_at(&own, &setup, own.interfaces().await?).await?;
        let actions = looked.actions();
        if !actions.is_empty() {
            own.available(&actions).await?;
        }

        let mut done = Vec::new();
        if let Some(what) = looked.system_words() {
            let changed = self.change_system(setup.system.clone(), actor.clone()).await;
            self.step(what, changed.map(drop), &actor, &mut done).await?;
        }
        let changed = self.write_settings(looked.settings, actor.clone()).await;
        self.step(served_words(&setup), changed, &actor, &mut done).await?;
        let address = looked.address.map(|(asked, _)| asked);
        let network_change = self.give_address(&setup.interface, address, &actor, &mut done).await?;
        let restarts = own.available(&[SystemAction::Restart]).await.is_ok();
        if restarts {
            let at = self.now() + RESTART_AFTER;
            *own.restart.lock().expect("no panic while held") = Some((at, actor));
        }
        Ok(SetupAnswer { steps: done, network_change, restarts, warnings: looked.warnings })
    }

    async fn give_address(
        &self,
        interface: &str,
        address: Option<OwnAddress>,
        actor: &Actor,
        done: &mut Vec<SetupStep>,
    ) -> Result<Option<ironwake_api::NetworkChange>, SiteError> {
        let Some(asked) = address else { return Ok(None) };
        match self.change_own_address(interface, asked, actor.clone()).await {
            Ok(change) => {
                self.step(address_words(interface, &change.to), Ok(()), actor, done).await?;
                Ok(Some(change))
            }
            Err(error) => {
                let what = format!("the address of {interface}");
                self.step(what, Err(error), actor, done).await?;
                Ok(None)
            }
        }
    }

    /// Notes what became of a step.
    async fn step(
        &self,
        what: String,
        result: Result<(), SiteError>,
        actor: &Actor,
        done: &mut Vec<SetupStep>,
    ) -> Result<(), SiteError> {
        let problem = result.as_ref().err().map(ToString::to_string);
        self.note(actor.clone(), EventKind::SetupStep { what: what.clone(), problem: problem.clone() }).await;
        done.push(SetupStep { what, problem });
        result
    }

    /// Starts the daemon again once a set-up is through, and its address confirmed.
    pub(super) async fn tend_setup(&self) {
        let Ok(own) = self.own() else { return };
        let waits = own.pending().is_some();
        let due = {
            let mut restart = own.restart.lock().expect("no panic while held");
            restart.take_if(|(at, _)| !waits && *at <= self.now())
        };
        let Some((_, actor)) = due else { return };
        if let Err(error) = self.restart_unit(DAEMON, actor).await {
            tracing::warn!(%error, "the daemon is to be started again by hand: what was set up counts from then on");
        }
    }
}
