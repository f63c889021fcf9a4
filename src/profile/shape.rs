//! A profile that is legal.

use std::collections::BTreeMap;
use std::fmt;

use ironwake_api::Packing;

use super::input::{Input, Value};
use super::step::Login;
use crate::operation::Deadlines;

/// What a machine can be made into.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Its name: lower-case letters, digits and `-`.
    pub name: String,
    /// Its version, as its author counts.
    pub version: String,
    /// One line for lists.
    pub summary: String,
    /// How a machine is made into it.
    pub kind: Kind,
    /// Machines that it runs on.
    pub architectures: Vec<Architecture>,
    /// Firmware that it starts from.
    pub firmware: Vec<Firmware>,
    /// Whether everything that it starts is signed, so that it works where Secure Boot is enforced.
    pub secure_boot: bool,
    /// What a machine has to have.
    pub needs: Needs,
    /// What it is filled with.
    pub variables: BTreeMap<String, Variable>,
    /// What is done on the host once it has phoned home, and as whom.
    pub login: Login,
    /// How often the host is to call, once it is installed.
    pub heartbeat_secs: Option<u64>,
    /// How long an operation may stay in each state.
    pub deadlines: Deadlines,
    /// Its templates by name.
    pub(super) templates: BTreeMap<String, String>,
}

/// How a machine is made into a profile. Fields called `…_line` are templates of one line.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// The agent writes a disk image and puts files into it.
    Image {
        /// The image.
        image: Image,
        /// What is put into its filesystems.
        files: Vec<Injection>,
    },
    /// The distribution's own installer runs, unattended.
    Installer {
        /// What is started.
        boot: Boot,
        /// What it fetches.
        files: Vec<Answer>,
    },
    /// A system runs from RAM; no disk is written.
    Live {
        /// What is started.
        boot: Boot,
        /// What it fetches.
        files: Vec<Answer>,
    },
    /// The machine boots its own disk.
    Local,
}

/// `[image]`
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Names the artifact.
    pub artifact_line: String,
    /// How it is packed, where the artifact's record does not say.
    pub packing: Option<Packing>,
    /// Whether the last partition and its filesystem take what is left of the disk.
    pub grow: bool,
    /// The firmware's boot entry on UEFI machines.
    pub boot_entry: Option<ironwake_api::BootEntry>,
}

/// `[[file]]` of an image: a file in one of its filesystems.
#[derive(Debug, Clone, PartialEq)]
pub struct Injection {
    /// Which template.
    pub template: String,
    /// The partition's number, or the label of it or of its filesystem.
    pub partition_line: String,
    /// Absolute path in that filesystem.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Who judges it.
    pub judge: Judge,
}

/// `[[file]]` of an installer or live system: served once, to the machine of the operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Which template.
    pub template: String,
    /// The last part of its URL.
    pub name: String,
    /// As it is served.
    pub content_type: String,
    /// Who judges it.
    pub judge: Judge,
}

/// `[boot]`
#[derive(Debug, Clone, PartialEq)]
pub struct Boot {
    /// Names the kernel's artifact.
    pub kernel_line: String,
    /// Name the artifacts that are loaded beside it, in order.
    pub initrd_lines: Vec<String>,
    /// The kernel's command line.
    pub command_line: String,
}

/// `[needs]`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// Memory.
    pub ram_bytes: u64,
    /// The disk that is written.
    pub disk_bytes: u64,
}

/// `[variables.NAME]`
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// What it takes.
    pub input: Input,
    /// What it is unless something is given.
    pub default: Option<Value>,
    /// Whether something has to be given.
    pub required: bool,
    /// Whether it is never shown.
    pub secret: bool,
    /// One line for people.
    pub help: String,
}

/// Who says whether a rendered file is right: a program of the format's own maker, in tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// `cloud-init schema`
    CloudConfig,
    /// `cloud-init schema --schema-type network-config`
    NetworkConfig,
    /// `debconf-set-selections -c`
    Preseed,
    /// `ksvalidator`
    Kickstart,
    /// `ignition-validate`
    Ignition,
    /// `bash -n`
    Shell,
    /// `systemd-analyze verify`
    Unit,
    /// Nobody.
    None,
}

/// Instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// 64-bit x86.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

/// Firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Firmware {
    /// PC BIOS.
    Bios,
    /// UEFI.
    Uefi,
}

macro_rules! words {
    ($type:ident { $($variant:ident $word:literal,)* }) => {
        impl $type {
            /// Each word that can be written, with what it means.
            pub const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant),)*];

            /// As it is written.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

words!(Architecture { Amd64 "amd64", Arm64 "arm64", });
words!(Firmware { Bios "bios", Uefi "uefi", });
words!(Judge {
    CloudConfig "cloud-config",
    NetworkConfig "network-config",
    Preseed "preseed",
    Kickstart "kickstart",
    Ignition "ignition",
    Shell "shell",
    Unit "unit",
    None "none",
});

impl Judge {
    /// What a file of this format is served as.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::CloudConfig | Self::NetworkConfig => "text/yaml",
            Self::Ignition => "application/json",
            Self::Preseed | Self::Kickstart | Self::Shell | Self::Unit | Self::None => "text/plain",
        }
    }
}

impl Kind {
    /// The word in `profile.toml`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Image { .. } => "image",
            Self::Installer { .. } => "installer",
            Self::Live { .. } => "live",
            Self::Local => "local",
        }
    }

    /// Whether it writes to the machine's disks, so that they have to be approved.
    pub fn writes(&self) -> bool {
        matches!(self, Self::Image { .. } | Self::Installer { .. })
    }
}
