//! What the first set-up asks of the daemon, and what it answers.

use ironwake_api::{
    OneTimePassword, OwnSystem, Setup, SetupAnswer, SetupDryRun, SetupState, SshKeyListed, SshKeyStick,
    SshKeysAdded, SystemChoices,
};
use serde::{Deserialize, Serialize};

use crate::message::Asked;

/// Something to ask of the daemon for the first set-up.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Whether it is needed, and which interfaces there are.
    State {
        /// Whether other DHCP servers are to be looked for, which takes seconds.
        servers: bool,
    },
    /// The appliance's own system.
    System,
    /// Time zones and keyboards.
    Choices,
    /// What the set-up would do, and what is wrong with it.
    DryRun {
        /// Which one it is.
        number: u64,
        /// What was chosen so far.
        setup: Box<Setup>,
    },
    /// Listed keys.
    Keys,
    /// Keys on USB sticks.
    Sticks,
    /// Set the keyboard.
    Keyboard(String),
    /// Add keys: lines as in `authorized_keys`.
    AddKeys(String),
    /// Make a password that lets keys be added over SSH.
    OneTimePassword,
    /// Set everything up.
    SetUp(Box<Setup>),
    /// Keep the address, with the token of the answer to its change.
    Confirm(String),
}

/// What was asked, where a refusal has its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A dry run.
    DryRun,
    /// The keyboard was to be set.
    Keyboard,
    /// Keys were to be added.
    AddKeys,
    /// A one-time password was to be made.
    OneTimePassword,
    /// Everything was to be set up.
    SetUp,
    /// The address was to be kept.
    Confirm,
}

/// What the daemon answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// Whether it is needed, and which interfaces there are.
    State {
        /// Whether other DHCP servers were looked for.
        servers: bool,
        /// What there is.
        state: SetupState,
    },
    /// The appliance's own system.
    System(Box<OwnSystem>),
    /// Time zones and keyboards.
    Choices(SystemChoices),
    /// What a set-up would do.
    DryRun {
        /// Which one it is.
        number: u64,
        /// What would be done, or is wrong.
        run: SetupDryRun,
    },
    /// Listed keys.
    Keys(Vec<SshKeyListed>),
    /// Keys on USB sticks.
    Sticks(Vec<SshKeyStick>),
    /// The keyboard is set.
    Keyboard(String),
    /// Keys were added.
    Added(SshKeysAdded),
    /// A one-time password.
    OneTimePassword(OneTimePassword),
    /// What became of the set-up.
    SetUp(SetupAnswer),
    /// The address stays.
    Confirmed,
}

impl Ask {
    /// What is asked, as an answer or a refusal tells it.
    pub fn asked(&self) -> Asked {
        let what = match self {
            Self::State { .. } => return Asked::Show("the first set-up".into()),
            Self::System => return Asked::Show("the appliance's system".into()),
            Self::Choices => return Asked::Show("time zones and keyboards".into()),
            Self::Keys => return Asked::Show("SSH keys".into()),
            Self::Sticks => return Asked::Show("USB sticks".into()),
            Self::DryRun { .. } => What::DryRun,
            Self::Keyboard(_) => What::Keyboard,
            Self::AddKeys(_) => What::AddKeys,
            Self::OneTimePassword => What::OneTimePassword,
            Self::SetUp(_) => What::SetUp,
            Self::Confirm(_) => What::Confirm,
        };
        Asked::First(what)
    }

    /// Whether it changes something, and so needs somebody who may.
    pub fn changes(&self) -> bool {
        match self {
            Self::Keyboard(_)
            | Self::AddKeys(_)
            | Self::OneTimePassword
            | Self::SetUp(_)
            | Self::Confirm(_) => true,
            Self::State { .. }
            | Self::System
            | Self::Choices
            | Self::DryRun { .. }
            | Self::Keys
            | Self::Sticks => false,
        }
    }
}

impl What {
    /// As a person says it.
    pub fn words(self) -> &'static str {
        match self {
            Self::DryRun => "check the set-up",
            Self::Keyboard => "set the keyboard",
            Self::AddKeys => "add keys",
            Self::OneTimePassword => "make a one-time password",
            Self::SetUp => "set it up",
            Self::Confirm => "keep the address",
        }
    }
}
