//! Boot scripts: who asks, what is decided, how it reads.

use std::net::{Ipv4Addr, SocketAddrV4};

use ironwake_api::{ClientStage, MacAddr};

use super::Site;
use crate::boot::{BootPlan, decide};
use crate::machine::{Identity, identifying_text, identifying_uuid};
use crate::script::{self, ArmedBoot, Context};

/// A boot script request: what the URL and the connection say.
#[derive(Debug, Clone)]
pub struct ScriptRequest {
    /// The address that boots.
    pub mac: MacAddr,
    /// `${uuid}`.
    pub uuid: Option<String>,
    /// `${serial}`.
    pub serial: Option<String>,
    /// `${asset}`.
    pub asset_tag: Option<String>,
    /// Which program asks.
    pub client: ClientStage,
    /// Where the client reached us.
    pub http: SocketAddrV4,
    /// The client's address.
    pub from: Ipv4Addr,
    /// Whether the script is only looked at (HEAD): nothing follows from that.
    pub only_looks: bool,
}

/// A rendered boot script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// What was decided.
    pub plan: BootPlan,
    /// How the loader reads it.
    pub text: String,
}

impl Site {
    /// The iPXE script for a machine.
    pub fn ipxe_script(&self, request: &ScriptRequest) -> Script {
        self.script(request, script::ipxe)
    }

    /// The `grub.cfg` for a machine.
    pub fn grub_script(&self, request: &ScriptRequest) -> Script {
        self.script(request, script::grub)
    }

    /// The script that is right for every machine, as `autoexec.ipxe`.
    pub fn ipxe_bootstrap(&self, http: SocketAddrV4) -> String {
        script::ipxe_bootstrap(http)
    }

    fn script(&self, request: &ScriptRequest, render: fn(&BootPlan, Context<'_>) -> String) -> Script {
        let (plan, machine) = self.plan(&request.identity());
        let (plan, armed) = match self.with_boot(plan, machine.as_deref(), request.http) {
            Ok(made) => made,
            Err(unmade) => {
                let plan = unmade.plan();
                if !request.only_looks {
                    self.note_unmade(unmade);
                }
                (plan, None)
            }
        };
        if !request.only_looks {
            self.recorder().planned(request.mac, &plan);
            if !request.from.is_unspecified() {
                self.believe_address(request.mac, request.from);
            }
        }
        Script { text: self.render(&plan, request.http, request.mac, armed.as_ref(), render), plan }
    }

    pub(super) fn render(
        &self,
        plan: &BootPlan,
        http: SocketAddrV4,
        mac: MacAddr,
        armed: Option<&ArmedBoot>,
        render: fn(&BootPlan, Context<'_>) -> String,
    ) -> String {
        let discovery = self.discovery.read().expect("no panic while held");
        let image = discovery.as_ref().cloned().unwrap_or_default();
        render(plan, Context { http, mac, discovery: &image, armed })
    }

    /// Decides what a machine gets; its id too, where it has a record.
    pub(super) fn plan(&self, identity: &Identity) -> (BootPlan, Option<String>) {
        let policy = self.policy();
        let now = self.now();
        let tries = identity.macs.iter().map(|mac| self.fruitless.count(*mac, now, policy.rediscover_after));
        let fruitless = tries.max().unwrap_or_default();
        let records = self.read();
        let id = records.resolve(identity);
        let plan = decide(records.view(id.as_deref(), fruitless, &self.operations), policy, now);
        (plan, id)
    }
}

impl ScriptRequest {
    fn identity(&self) -> Identity {
        let text = |value: &Option<String>| value.as_deref().and_then(identifying_text).map(str::to_owned);
        let uuid = self.uuid.as_deref().and_then(|text| text.parse().ok()).filter(identifying_uuid);
        Identity { uuid, serial: text(&self.serial), asset_tag: text(&self.asset_tag), macs: vec![self.mac] }
    }
}
