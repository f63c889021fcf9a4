//! A profile and its values as files, artifacts and a command line: everything that one operation needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};

use ironwake_api::{BootEntry, InjectedFile, MacAddr, Packing, PartitionChoice};
use minijinja::{Environment, Error};
use serde::Serialize;

use super::bounded::{Bounded, OUTPUT_BYTES_MAX};
use super::input::Value;
use super::quote::{is_control, texts};
use super::resolve::{Setting, Values};
use super::secret::{HIDDEN, Secret};
use super::shape::{Answer, Architecture, Boot, Firmware, Image, Injection, Kind, Profile};
use super::{FILE, template};

/// Longest command line: x86 kernels take 2048 bytes, and the daemon adds its own parameters.
const COMMAND_LINE_BYTES_MAX: usize = 1792;
/// Longest name of an artifact or label of a partition.
const NAME_BYTES_MAX: usize = 255;

/// What every template knows beside its variables, each with what it is.
pub const FACTS: &[&str] = &[
    "hostname",
    "machine.id",
    "machine.name",
    "machine.architecture",
    "machine.firmware",
    "machine.macs",
    "machine.boot_mac",
    "machine.address",
    "operation.id",
    "operation.ssh_key",
    "operation.heartbeat_secs",
    "disk.path",
    "disk.name",
    "disk.serial",
    "disk.size_bytes",
    "server.url",
    "urls.files",
    "urls.phone_home",
    "urls.installed",
    "urls.heartbeat",
];

/// What is known of the machine, the operation and the server when a profile is rendered.
#[derive(Debug, Clone, Serialize)]
pub struct Facts {
    /// What the host is to be called.
    pub hostname: String,
    /// The machine.
    pub machine: MachineFacts,
    /// The operation.
    pub operation: OperationFacts,
    /// The approved disk, where there is one.
    pub disk: Option<DiskFacts>,
    /// The server as the machine reaches it.
    pub server: ServerFacts,
    /// Where the machine fetches and reports.
    pub urls: Urls,
    /// URLs of artifacts by name, for `artifact("NAME")`.
    #[serde(skip)]
    pub artifacts: BTreeMap<String, String>,
}

/// `machine`
#[derive(Debug, Clone, Serialize)]
pub struct MachineFacts {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its instruction set, as profiles name it.
    #[serde(serialize_with = "word")]
    pub architecture: Architecture,
    /// How it boots, as profiles name it.
    #[serde(serialize_with = "word")]
    pub firmware: Firmware,
    /// Every MAC address of it.
    pub macs: Vec<MacAddr>,
    /// The MAC address that it boots through.
    pub boot_mac: MacAddr,
    /// The address that it booted with.
    pub address: Option<std::net::Ipv4Addr>,
}

/// `operation`
#[derive(Debug, Clone, Serialize)]
pub struct OperationFacts {
    /// Its id.
    pub id: String,
    /// The public key that the operation itself logs in with, where it does.
    pub ssh_key: Option<String>,
    /// How often the host is to call, where the profile says so.
    pub heartbeat_secs: Option<u64>,
}

/// `disk`
#[derive(Debug, Clone, Serialize)]
pub struct DiskFacts {
    /// Its device in the last inventory, such as `/dev/sda`.
    pub path: String,
    /// Its kernel name in the last inventory, for people.
    pub name: String,
    /// Its serial number.
    pub serial: Option<String>,
    /// Its size.
    pub size_bytes: u64,
}

/// `server`
#[derive(Debug, Clone, Serialize)]
pub struct ServerFacts {
    /// `http://ADDRESS:PORT`, without a slash at its end.
    pub url: String,
}

/// `urls`. They hold tokens, which `Debug` hides.
#[derive(Clone, Serialize)]
pub struct Urls {
    /// The folder of the operation's files, with a slash at its end.
    pub files: String,
    /// Where the host reports its first boot.
    pub phone_home: String,
    /// Where the installer reports that all is written.
    pub installed: String,
    /// Where the host reports that it runs, from its first boot on.
    pub heartbeat: String,
}

impl fmt::Debug for Urls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

fn word<T: fmt::Display, S: serde::Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// What one operation needs.
#[derive(Debug, Clone, PartialEq)]
pub enum Rendered {
    /// An image, and files for it in the profile's order.
    Image {
        /// The image.
        image: RenderedImage,
        /// Files for its filesystems.
        files: Vec<InjectedFile>,
    },
    /// An installer.
    Installer {
        /// What is started.
        boot: RenderedBoot,
        /// What it fetches, in the profile's order.
        files: Vec<ServedFile>,
    },
    /// A live system.
    Live {
        /// What is started.
        boot: RenderedBoot,
        /// What it fetches, in the profile's order.
        files: Vec<ServedFile>,
    },
    /// The machine's own disk.
    Local,
}

/// An image to write.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderedImage {
    /// The artifact's name.
    pub artifact: String,
    /// How it is packed, where the artifact's record does not say.
    pub packing: Option<Packing>,
    /// Whether the last partition takes what is left of the disk.
    pub grow: bool,
    /// The firmware's boot entry.
    pub boot_entry: Option<BootEntry>,
}

/// What is started over the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedBoot {
    /// The kernel's artifact.
    pub kernel: String,
    /// Artifacts that are loaded beside it.
    pub initrds: Vec<String>,
    /// Its command line: one line of printable ASCII, quotes in pairs, nothing that iPXE expands. It may hold `;`,
    /// which GRUB takes for the end of a command unless it is quoted.
    pub command_line: Secret<String>,
}

/// A file that is served to the machine, once.
#[derive(Clone, PartialEq, Eq)]
pub struct ServedFile {
    /// The last part of its URL.
    pub name: String,
    /// As it is served.
    pub content_type: String,
    /// What it holds. May be a secret: it is not shown by `Debug`.
    pub content: String,
}

impl fmt::Debug for ServedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.content.len();
        write!(f, "ServedFile({} as {}, {bytes} bytes)", self.name, self.content_type)
    }
}

/// Why a profile cannot be rendered with these values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A template fails.
    #[error("{place}: {why}")]
    Template {
        /// Template and line, or key of `profile.toml`.
        place: String,
        /// Why.
        why: String,
    },
    /// A file grows too large.
    #[error("{template} gives more than {OUTPUT_BYTES_MAX} bytes")]
    TooLarge {
        /// The template.
        template: String,
    },
    /// A line is rendered into something that it must not be.
    #[error("{key} in {FILE} gives {why}")]
    Line {
        /// Its key.
        key: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A fact cannot be what is given.
    #[error("the fact {name} holds {character:?}, which no file could")]
    Fact {
        /// Its name.
        name: &'static str,
        /// What it must not hold.
        character: char,
    },
}

/// Renders everything of a profile. The same profile, values and facts give the same bytes.
pub fn render(profile: &Profile, values: &Values, facts: &Facts) -> Result<Rendered, RenderError> {
    Renderer::new(profile, values, facts)?.everything(&profile.kind)
}

/// Facts come from machines and records: none of them is more than one line.
fn check_facts(facts: &Facts) -> Result<(), RenderError> {
    let serial = facts.disk.as_ref().and_then(|disk| disk.serial.as_deref());
    let path = facts.disk.as_ref().map(|disk| disk.path.as_str());
    let rows = [
        ("hostname", Some(facts.hostname.as_str())),
        ("machine.name", Some(&facts.machine.name)),
        ("disk.path", path),
        ("disk.serial", serial),
        ("operation.ssh_key", facts.operation.ssh_key.as_deref()),
        ("server.url", Some(&facts.server.url)),
        ("urls.files", Some(&facts.urls.files)),
        ("urls.phone_home", Some(&facts.urls.phone_home)),
        ("urls.installed", Some(&facts.urls.installed)),
        ("urls.heartbeat", Some(&facts.urls.heartbeat)),
    ];
    let wrong = |(name, text): (&'static str, Option<&str>)| {
        Some(RenderError::Fact { name, character: text?.chars().find(|c| is_control(*c))? })
    };
    rows.into_iter().find_map(wrong).map_or(Ok(()), Err)
}

pub(super) struct Renderer<'p> {
    environment: Environment<'p>,
    context: minijinja::Value,
    /// Texts that no message may repeat.
    secrets: Vec<String>,
    /// Artifacts that `artifact()` has found.
    found: Arc<Mutex<BTreeSet<String>>>,
}

impl<'p> Renderer<'p> {
    pub(super) fn new(profile: &'p Profile, values: &Values, facts: &Facts) -> Result<Self, RenderError> {
        check_facts(facts)?;
        let mut environment = template::environment(&profile.templates)
            .map_err(|error| RenderError::Template { place: FILE.into(), why: template::explain(&error) })?;
        let (artifacts, found) = (facts.artifacts.clone(), Arc::<Mutex<BTreeSet<String>>>::default());
        let asked = found.clone();
        environment.add_function("artifact", move |name: String| match artifacts.get(&name) {
            Some(url) => {
                asked.lock().expect("no panic while held").insert(name);
                Ok(url.clone())
            }
            None => {
                let why = format!(
                    "no artifact is published as {name:?}, or none was when the operation was made: import it, then make \
                     another operation"
                );
                Err(Error::new(minijinja::ErrorKind::InvalidOperation, why))
            }
        });
        let variables = values.iter().map(|(name, setting)| (name.to_owned(), engine_value(setting)));
        let facts = minijinja::Value::from(minijinja::value::Serde(facts));
        let fact = |name: &str| (name.to_owned(), facts.get_attr(name).unwrap_or_default());
        let roots = ["hostname", "machine", "operation", "disk", "server", "urls"].map(fact);
        let context = minijinja::Value::from_pairs(variables.chain(roots));
        let secrets = values.iter().filter_map(|(_, setting)| match setting {
            Setting::Secret(secret, _) => Some(secret.reveal()),
            _ => None,
        });
        Ok(Self { environment, context, secrets: secrets.flat_map(texts).collect(), found })
    }

    pub(super) fn everything(&self, kind: &Kind) -> Result<Rendered, RenderError> {
        let served = |files: &[Answer]| files.iter().map(|file| self.answer(file)).collect::<Result<_, _>>();
        Ok(match kind {
            Kind::Image { image, files } => Rendered::Image {
                image: self.image(image)?,
                files: files.iter().map(|file| self.injection(file)).collect::<Result<_, _>>()?,
            },
            Kind::Installer { boot, files } => {
                Rendered::Installer { boot: self.boot(boot)?, files: served(files)? }
            }
            Kind::Live { boot, files } => Rendered::Live { boot: self.boot(boot)?, files: served(files)? },
            Kind::Local => Rendered::Local,
        })
    }

    /// Names under which artifacts were found so far.
    pub(super) fn found(&self) -> BTreeSet<String> {
        self.found.lock().expect("no panic while held").clone()
    }

    pub(super) fn file(&self, name: &str) -> Result<String, RenderError> {
        let template = self.environment.get_template(name).map_err(|error| self.failed(name, &error))?;
        let mut output = Bounded::default();
        let rendered = template.render_captured_to(self.context.clone(), &mut output).map(drop);
        if output.full {
            return Err(RenderError::TooLarge { template: name.to_owned() });
        }
        rendered.map_err(|error| self.failed(name, &error))?;
        Ok(String::from_utf8_lossy(&output.bytes).into_owned())
    }

    pub(super) fn line(&self, key: &'static str, source: &str) -> Result<String, RenderError> {
        let failed = |error: Error| RenderError::Template {
            place: format!("{key} in {FILE}"),
            why: self.masked(template::explain(&error)),
        };
        let template = self.environment.template_from_named_str(key, source).map_err(failed)?;
        let mut output = Bounded::default();
        let rendered = template.render_captured_to(self.context.clone(), &mut output).map(drop);
        if output.full {
            return Err(RenderError::TooLarge { template: key.to_owned() });
        }
        rendered.map_err(failed)?;
        Ok(String::from_utf8_lossy(&output.bytes).trim().to_owned())
    }

    /// A line that names an artifact.
    fn artifact(&self, key: &'static str, source: &str) -> Result<String, RenderError> {
        let name = self.line(key, source)?;
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._+~/-".contains(&byte);
        let whole = !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(legal);
        if whole && name.split('/').all(|part| !matches!(part, "" | "." | "..")) {
            return Ok(name);
        }
        Err(RenderError::Line { key, why: format!("{:?}, which names no artifact", self.masked(name)) })
    }

    fn image(&self, image: &Image) -> Result<RenderedImage, RenderError> {
        Ok(RenderedImage {
            artifact: self.artifact("image.artifact", &image.artifact_line)?,
            packing: image.packing,
            grow: image.grow,
            boot_entry: image.boot_entry.clone(),
        })
    }

    fn boot(&self, boot: &Boot) -> Result<RenderedBoot, RenderError> {
        let key = "boot.command_line";
        let command_line = self.line(key, &boot.command_line)?;
        if let Some(why) = command_line_problem(&command_line) {
            return Err(RenderError::Line { key, why });
        }
        Ok(RenderedBoot {
            kernel: self.artifact("boot.kernel", &boot.kernel_line)?,
            initrds: boot
                .initrd_lines
                .iter()
                .map(|line| self.artifact("boot.initrd", line))
                .collect::<Result<_, _>>()?,
            command_line: Secret::new(command_line),
        })
    }

    fn injection(&self, file: &Injection) -> Result<InjectedFile, RenderError> {
        let key = "file.partition";
        let partition = self.line(key, &file.partition_line)?;
        let problem = match partition.parse::<u32>() {
            Ok(0) => Some("0: partitions count from 1"),
            Err(_) if partition.is_empty() => Some("no partition"),
            Err(_) if partition.len() > NAME_BYTES_MAX || partition.chars().any(is_control) => {
                Some("no label")
            }
            _ => None,
        };
        if let Some(why) = problem {
            return Err(RenderError::Line { key, why: why.to_owned() });
        }
        Ok(InjectedFile {
            partition: partition.parse().map_or(PartitionChoice::Label(partition), PartitionChoice::Number),
            path: file.path.clone(),
            mode: file.mode,
            content: self.file(&file.template)?,
        })
    }

    fn answer(&self, file: &Answer) -> Result<ServedFile, RenderError> {
        Ok(ServedFile {
            name: file.name.clone(),
            content_type: file.content_type.clone(),
            content: self.file(&file.template)?,
        })
    }

    /// The engine's error with the template and line that it arose in, which may be an included one.
    fn failed(&self, name: &str, error: &Error) -> RenderError {
        let mut innermost = error;
        while let Some(source) =
            std::error::Error::source(innermost).and_then(|source| source.downcast_ref::<Error>())
            && source.line().is_some()
        {
            innermost = source;
        }
        let name = innermost.name().unwrap_or(name);
        let place = innermost.line().map_or(name.to_owned(), |line| format!("{name}:{line}"));
        RenderError::Template { place, why: self.masked(template::explain(innermost)) }
    }

    /// A message in which no secret stands.
    fn masked(&self, message: String) -> String {
        let long = self.secrets.iter().filter(|secret| !secret.is_empty());
        long.fold(message, |message, secret| message.replace(secret.as_str(), HIDDEN))
    }
}

pub(super) fn engine_value(setting: &Setting) -> minijinja::Value {
    match setting {
        // Stands where the value would, and needs no filter there.
        Setting::Masked(_) => minijinja::Value::from_safe_string(HIDDEN.into()),
        setting => match setting.reveal() {
            None => minijinja::Value::from(()),
            Some(Value::Text(text)) => minijinja::Value::from(text.as_str()),
            Some(Value::Integer(number)) => minijinja::Value::from(*number),
            Some(Value::Boolean(on)) => minijinja::Value::from(*on),
            Some(Value::List(items)) => items.iter().map(String::as_str).collect(),
        },
    }
}

/// What no command line may hold: iPXE and GRUB expand and split what they are served.
fn command_line_problem(line: &str) -> Option<String> {
    if line.len() > COMMAND_LINE_BYTES_MAX {
        return Some(format!(
            "{} bytes, and a command line has at most {COMMAND_LINE_BYTES_MAX}",
            line.len()
        ));
    }
    let forbidden =
        |c: &char| !(c.is_ascii_graphic() || *c == ' ') || matches!(c, '$' | '|' | '&' | '\\' | '\'' | '`');
    if let Some(c) = line.chars().find(forbidden) {
        return Some(format!("a command line with {c:?}, which a loader would take for its own"));
    }
    (line.matches('"').count() % 2 == 1).then(|| "a command line with a quote that does not end".to_owned())
}
