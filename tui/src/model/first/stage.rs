//! The steps of the first set-up, the fields of each, and which of them a mistake belongs to.

use super::{First, How, Permit};
use ironwake_api::{DhcpChoice, SystemAction};

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The administrator's password: what changes something needs it.
    Password,
    /// The keyboard of the console.
    Keyboard,
    /// Which interface is served.
    Interface,
    /// The appliance's own address there.
    Address,
    /// How DHCP is served.
    Dhcp,
    /// Which addresses are given.
    Range,
    /// The appliance's name.
    Name,
    /// Time zone and clock.
    Time,
    /// Public keys of those who may log in over SSH.
    Keys,
    /// All of it, before it is done.
    Summary,
}

impl Stage {
    /// Every one, in order.
    pub const ALL: [Self; 10] = [
        Self::Password,
        Self::Keyboard,
        Self::Interface,
        Self::Address,
        Self::Dhcp,
        Self::Range,
        Self::Name,
        Self::Time,
        Self::Keys,
        Self::Summary,
    ];

    /// Its name in the list of steps.
    pub fn title(self) -> &'static str {
        match self {
            Self::Password => "Password",
            Self::Keyboard => "Keyboard",
            Self::Interface => "Interface",
            Self::Address => "Own address",
            Self::Dhcp => "DHCP",
            Self::Range => "Addresses to give",
            Self::Name => "Name",
            Self::Time => "Time",
            Self::Keys => "SSH keys",
            Self::Summary => "Summary",
        }
    }

    /// Where a field of the document is put right. What only the settings know belongs to no step.
    pub fn of(field: &str) -> Option<Self> {
        match field.split(['.', '[']).next().unwrap_or_default() {
            "interface" => Some(Self::Interface),
            "address" => Some(Self::Address),
            "dhcp" => Some(Self::Dhcp),
            "range" | "router" | "dns" => Some(Self::Range),
            "system" => match field.trim_start_matches("system.") {
                "hostname" => Some(Self::Name),
                "keyboard" => Some(Self::Keyboard),
                time if time.starts_with("timezone") || time.starts_with("ntp") => Some(Self::Time),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Something that is typed or chosen in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// The password, to log in with.
    Login,
    /// Another password, or the first one.
    New,
    /// The same again.
    Again,
    /// The keyboard.
    Keyboard,
    /// The interface.
    Interface,
    /// How the appliance has its address.
    How,
    /// Its address with the prefix.
    Address,
    /// Its way to other networks.
    Gateway,
    /// Its name servers.
    Dns,
    /// How DHCP is served.
    Dhcp,
    /// Addresses to give.
    Range,
    /// The router that machines are told.
    Router,
    /// The name servers that they are told.
    Told,
    /// The appliance's name.
    Name,
    /// Its time zone.
    Zone,
    /// Whether its clock is set from the network.
    Ntp,
    /// Where from.
    Servers,
    /// A key that is pasted.
    Paste,
    /// Keys on USB sticks.
    Sticks,
    /// The one-time password.
    OneTime,
    /// On to the summary.
    GoOn,
}

impl Field {
    /// Beside what is typed.
    pub fn label(self) -> &'static str {
        match self {
            Self::Login => "Password or PIN",
            Self::New => "New password or PIN",
            Self::Again => "The same again",
            Self::Keyboard => "Keyboard",
            Self::Interface => "Interface",
            Self::How => "Address",
            Self::Address => "Address/prefix",
            Self::Gateway => "Gateway",
            Self::Dns => "Name servers",
            Self::Dhcp => "DHCP",
            Self::Range => "Addresses",
            Self::Router => "Router",
            Self::Told => "Name servers",
            Self::Name => "Name",
            Self::Zone => "Time zone",
            Self::Ntp => "From the network",
            Self::Servers => "Time servers",
            Self::Paste => "Paste a key",
            Self::Sticks => "USB stick",
            Self::OneTime => "ssh-copy-id",
            Self::GoOn => "Go on",
        }
    }

    /// Whether it is a line of text.
    pub fn is_text(self) -> bool {
        self.is_secret()
            || matches!(
                self,
                Self::Address
                    | Self::Gateway
                    | Self::Dns
                    | Self::Range
                    | Self::Router
                    | Self::Told
                    | Self::Name
                    | Self::Servers
                    | Self::Paste
            )
    }

    /// Whether it is one of a long list, which what is typed narrows.
    pub fn is_pick(self) -> bool {
        matches!(self, Self::Keyboard | Self::Zone)
    }

    /// Whether what is typed is shown and recorded as asterisks.
    pub fn is_secret(self) -> bool {
        matches!(self, Self::Login | Self::New | Self::Again)
    }

    /// Whether a field of the document is typed here.
    pub fn is_of(self, document: &str) -> bool {
        let name = document.split('[').next().unwrap_or_default();
        let own = match self {
            Self::Keyboard => "system.keyboard",
            Self::Interface => "interface",
            Self::How => "address.dhcp",
            Self::Address => "address.address",
            Self::Gateway => "address.gateway",
            Self::Dns => "address.dns",
            Self::Dhcp => "dhcp",
            Self::Range => "range",
            Self::Router => "router",
            Self::Told => "dns",
            Self::Name => "system.hostname",
            Self::Zone => "system.timezone",
            Self::Ntp => "system.ntp",
            Self::Servers => "system.ntp_servers",
            _ => return false,
        };
        own == name || self == Self::How && name == "address"
    }
}

impl First {
    /// The fields of the step that is open.
    pub fn fields(&self) -> Vec<Field> {
        match self.stage {
            Stage::Password => match &self.permit {
                Permit::Given { anew: false } | Permit::Elsewhere => Vec::new(),
                Permit::Login => vec![Field::Login],
                Permit::First | Permit::Given { anew: true } => vec![Field::New, Field::Again],
            },
            Stage::Keyboard => vec![Field::Keyboard],
            Stage::Interface => vec![Field::Interface],
            Stage::Address => match self.how {
                How::Static => vec![Field::How, Field::Address, Field::Gateway, Field::Dns],
                How::Keep | How::Dhcp => vec![Field::How],
            },
            Stage::Dhcp => vec![Field::Dhcp],
            Stage::Range => vec![Field::Range, Field::Router, Field::Told],
            Stage::Name => vec![Field::Name],
            Stage::Time => {
                let mut fields = vec![Field::Zone];
                fields.extend(self.cannot(SystemAction::Ntp).is_none().then_some(Field::Ntp));
                let servers = self.ntp && self.cannot(SystemAction::NtpServers).is_none();
                fields.extend(servers.then_some(Field::Servers));
                fields
            }
            Stage::Keys => vec![Field::Paste, Field::Sticks, Field::OneTime, Field::GoOn],
            Stage::Summary => Vec::new(),
        }
    }

    /// The field under the cursor.
    pub fn field(&self) -> Option<Field> {
        self.fields().get(self.focus).copied()
    }

    /// Why this host cannot do something.
    pub fn cannot(&self, action: SystemAction) -> Option<&str> {
        self.system.as_ref()?.unavailable(action)
    }

    /// Why a step is left out.
    pub fn left_out(&self, stage: Stage) -> Option<&str> {
        match stage {
            Stage::Keyboard => self.cannot(SystemAction::Keyboard),
            Stage::Address => self.cannot(SystemAction::Network),
            Stage::Name => self.cannot(SystemAction::Hostname),
            Stage::Time => self.cannot(SystemAction::Timezone),
            Stage::Range => (self.dhcp != DhcpChoice::Server).then_some("only server mode gives addresses"),
            Stage::Password | Stage::Interface | Stage::Dhcp | Stage::Keys | Stage::Summary => None,
        }
    }

    /// The next step that is not left out.
    pub fn after(&self, stage: Stage) -> Option<Stage> {
        Stage::ALL.into_iter().find(|other| *other > stage && self.left_out(*other).is_none())
    }

    /// The step before that is not left out.
    pub fn before(&self, stage: Stage) -> Option<Stage> {
        Stage::ALL.into_iter().rfind(|other| *other < stage && self.left_out(*other).is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_belongs_to_the_step_where_it_is_put_right() {
        let check = |field: &str, expected| assert_eq!(Stage::of(field), expected, "{field}");
        check("interface", Some(Stage::Interface));
        check("address", Some(Stage::Address));
        check("address.dns[1]", Some(Stage::Address));
        check("range[0]", Some(Stage::Range));
        check("dns[0]", Some(Stage::Range));
        check("system.hostname", Some(Stage::Name));
        check("system.ntp_servers[2]", Some(Stage::Time));
        check("network", None);
        assert!(Field::Dns.is_of("address.dns[1]") && !Field::Told.is_of("address.dns[1]"));
        assert!(Field::Told.is_of("dns[1]") && Field::How.is_of("address"));
    }
}
