//! What a machine would get at each step, and why, without anything being sent or noted.

use std::net::{Ipv4Addr, SocketAddrV4};

use ironwake_api::{ClientStage, FieldProblem, MacAddr, Machine, SimulateQuery, SimulatedStep};
use uuid::Uuid;

use super::{Site, SiteError};
use crate::boot::{ARCHES, ArchRow, Handoff, Sighting, Transport, handoff};
use crate::machine::{Identity, identifying_text, identifying_uuid};
use crate::script::{self, ArmedBoot};

impl Site {
    /// Follows a machine from its firmware to its script.
    pub fn simulate(&self, query: &SimulateQuery) -> Result<Vec<SimulatedStep>, SiteError> {
        let (sighting, identity) = self.imagined(query)?;
        let records = self.read();
        let machine = records
            .resolve(&identity)
            .and_then(|id| records.machines.get(&id))
            .map(|machine| Machine::clone(machine));
        drop(records);
        let policy = self.loader_policy(sighting.mac, machine.as_ref(), &sighting.network);
        let http = SocketAddrV4::new(sighting.server, self.settings.http_port);

        let mut steps = vec![SimulatedStep {
            step: "who it is".into(),
            gets: machine
                .as_ref()
                .map_or("no record".into(), |m| format!("machine {}, {}", m.called(), m.enrolment.name())),
            why: "by MAC address, UUID and serial number together".into(),
        }];
        let first = handoff(&sighting, policy, http);
        let refused = matches!(first, Handoff::Refused(_));
        steps.push(step("firmware, DHCP", first));
        if refused {
            return Ok(steps);
        }
        let (plan, id) = self.plan(&identity);
        let made = self.with_boot(plan, id.as_deref(), http);
        let (plan, armed) = made.unwrap_or_else(|unmade| (unmade.plan(), None));
        // Nobody gets a token by asking what a machine would get.
        let shown = armed.map(ArmedBoot::masked);
        if policy.secure_boot {
            steps.push(SimulatedStep {
                step: "shim".into(),
                gets: "grubx64.efi from the same directory".into(),
                why: "shim starts what stands beside it and is signed".into(),
            });
            let text = self.render(&plan, http, sighting.mac, shown.as_ref(), script::grub);
            steps.push(SimulatedStep {
                step: "GRUB, grub.cfg".into(),
                gets: text,
                why: format!("{}: {}", plan.name(), plan.why()),
            });
        } else {
            let ipxe = Sighting { stage: ClientStage::Ipxe, http_capable: true, ..sighting.clone() };
            steps.push(step("iPXE, DHCP", handoff(&ipxe, policy, http)));
            let text = self.render(&plan, http, sighting.mac, shown.as_ref(), script::ipxe);
            steps.push(SimulatedStep {
                step: "iPXE, script".into(),
                gets: text,
                why: format!("{}: {}", plan.name(), plan.why()),
            });
        }
        Ok(steps)
    }

    fn imagined(&self, query: &SimulateQuery) -> Result<(Sighting, Identity), SiteError> {
        let mut wrong = Vec::new();
        let mut refuse = |field: &str, message: String| {
            wrong.push(FieldProblem { field: field.into(), message });
        };
        let mac = query.mac.parse::<MacAddr>().map_err(|error| refuse("mac", error.to_string())).ok();
        let by_number = || query.arch.parse().ok().and_then(ArchRow::by_number);
        let row = ArchRow::by_name(&query.arch).or_else(by_number);
        if row.is_none() {
            let names: Vec<&str> = ARCHES.iter().map(|row| row.name).collect();
            refuse("arch", format!("{:?} is none of {}", query.arch, names.join(", ")));
        }
        let uuid = query.uuid.as_deref().and_then(|text| match text.parse::<Uuid>() {
            Ok(uuid) => Some(uuid).filter(identifying_uuid),
            Err(_) => {
                refuse("uuid", format!("{text:?} is not a UUID"));
                None
            }
        });
        let networks = &self.settings.networks;
        let network = match &query.network {
            None => networks.first().map(|(name, _)| name.clone()),
            Some(wanted) => networks.iter().find(|(name, _)| name == wanted).map(|(name, _)| name.clone()),
        };
        if network.is_none() {
            refuse("network", "it is no interface of a [[network]] in the configuration".into());
        }
        let (Some(mac), Some(row), Some(network), true) = (mac, row, network, wrong.is_empty()) else {
            return Err(SiteError::Invalid(wrong));
        };
        let sighting = Sighting {
            mac,
            uuid,
            arches: vec![row.number],
            stage: ClientStage::Firmware,
            http_boot: row.transport == Transport::Http,
            http_capable: true,
            server: self.server_address(&network),
            network,
        };
        let serial = query.serial.as_deref().and_then(identifying_text).map(str::to_owned);
        let identity = Identity { serial, ..Identity::of_sighting(mac, uuid) };
        Ok((sighting, identity))
    }

    /// The server's address on a network, as its edge told it; a placeholder before that.
    fn server_address(&self, network: &str) -> Ipv4Addr {
        self.servers
            .lock()
            .expect("no panic while held")
            .get(network)
            .copied()
            .unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    /// The server's address on a network.
    pub fn set_server_address(&self, network: &str, address: Ipv4Addr) {
        self.servers.lock().expect("no panic while held").insert(network.to_owned(), address);
    }
}

fn step(step: &str, handoff: Handoff) -> SimulatedStep {
    let (gets, why) = match handoff {
        Handoff::File { file, why } => (format!("TFTP file {file}"), why),
        Handoff::Url { url, why } => (url, why),
        Handoff::AddressOnly => ("an address only".into(), "it is not a netboot client".into()),
        Handoff::Refused(diagnosis) => {
            ("no boot file".into(), format!("{}: {}", diagnosis.code, diagnosis.message))
        }
    };
    SimulatedStep { step: step.into(), gets, why }
}
