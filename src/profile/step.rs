//! `[login]` and `[[step]]`: what is done on the host once it has phoned home.

use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use super::check::{Surroundings, check_line, missing, template_named};
use super::mask::Mask;
use super::quote::texts;
use super::raw::{KindWord, file_name, integer, template_line};
use super::render::{Facts, RenderError, Renderer};
use super::resolve::{Setting, Values};
use super::shape::Profile;
use crate::document::value::{line, word};
use crate::document::{Field, Findings, Reader, Section, Value};

/// Steps of one profile.
pub const STEPS_MAX: usize = 64;
/// How long a step may take: what takes longer than a day is no step of an installation.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10 * 60);
/// The first pause before a step is tried again; each further one is twice as long.
const BACKOFF: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
const BACKOFF_DEFAULT: Duration = Duration::from_secs(5);
/// With pauses that double, nobody waits for a hundredth try.
const RETRIES_MAX: i64 = 100;
/// What a process can end with.
const EXIT_CODES: RangeInclusive<i64> = 0..=255;
const SSH_PORT: u16 = 22;
/// Longest name of a user: that of utmp.
const USER_BYTES_MAX: usize = 32;
/// Digits of an operation's token.
const TOKEN_DIGITS: usize = 64;

/// `[login]`, and every `[[step]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Login {
    /// A template of one line: as whom.
    pub user_line: String,
    /// The SSH server's port.
    pub port: u16,
    /// In order.
    pub steps: Vec<Step>,
}

/// `[[step]]`
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What it is called in the operation.
    pub name: String,
    /// What is run.
    pub run: Run,
    /// By whom.
    pub shell: Shell,
    /// How long one try may take.
    pub timeout: Duration,
    /// How often it is tried again.
    pub retries: u32,
    /// The pause before the first of these.
    pub backoff: Duration,
    /// What it has to end with.
    pub exit_code: u32,
}

/// What a step runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// A template of one line.
    Command(String),
    /// A template by name.
    Script(String),
}

/// What reads a step's script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// The host's `sh`.
    Sh,
    /// The host's `bash`.
    Bash,
}

impl Shell {
    const WORDS: &'static [(&'static str, Self)] = &[("sh", Self::Sh), ("bash", Self::Bash)];

    /// The program's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sh => "sh",
            Self::Bash => "bash",
        }
    }
}

/// How to log in to one host, and what to do there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedLogin {
    /// As whom.
    pub user: String,
    /// The SSH server's port.
    pub port: u16,
    /// In order. A step that renders to nothing is left out.
    pub steps: Vec<RenderedStep>,
    /// What is masked in what the steps write.
    pub mask: Mask,
}

/// A step of one operation.
#[derive(Clone, PartialEq, Eq)]
pub struct RenderedStep {
    /// Its place among the profile's steps, from 0.
    pub seq: u32,
    /// What it is called.
    pub name: String,
    /// By whom it is read.
    pub shell: Shell,
    /// What the shell reads. May hold secrets: it is not shown by `Debug`.
    pub script: String,
    /// How long one try may take.
    pub timeout: Duration,
    /// How often it is tried again.
    pub retries: u32,
    /// The pause before the first of these; it doubles.
    pub backoff: Duration,
    /// What it has to end with.
    pub exit_code: u32,
}

impl fmt::Debug for RenderedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RenderedStep({}, {} bytes)", self.name, self.script.len())
    }
}

/// Renders what is done on the host.
pub fn login(profile: &Profile, values: &Values, facts: &Facts) -> Result<RenderedLogin, RenderError> {
    let (user, steps) = Renderer::new(profile, values, facts)?.visit(&profile.login)?;
    let secret = |setting: &Setting| match setting {
        Setting::Secret(secret, _) => texts(secret.reveal()),
        _ => Vec::new(),
    };
    let mut secrets: Vec<String> = values.iter().flat_map(|(_, setting)| secret(setting)).collect();
    // Tokens, and lines of a secret with several: a program may write them one by one.
    let urls = [&facts.urls.files, &facts.urls.phone_home, &facts.urls.heartbeat];
    secrets.extend(urls.into_iter().filter_map(|url| token(url)));
    let lines: Vec<String> = secrets.iter().flat_map(|text| text.lines().map(str::to_owned)).collect();
    secrets.extend(lines);
    Ok(RenderedLogin { user, port: profile.login.port, steps, mask: Mask::new(secrets) })
}

impl Renderer<'_> {
    /// As whom, and what is run.
    pub(super) fn visit(&self, login: &Login) -> Result<(String, Vec<RenderedStep>), RenderError> {
        let user = self.line("login.user", &login.user_line)?;
        if !is_user(&user) {
            return Err(RenderError::Line { key: "login.user", why: "no name of a user".into() });
        }
        let mut steps = Vec::new();
        for (seq, step) in (0..).zip(&login.steps) {
            let script = match &step.run {
                Run::Command(line) => self.line("step.command", line)?,
                Run::Script(template) => self.file(template)?,
            };
            if script.trim().is_empty() {
                continue;
            }
            let Step { name, shell, timeout, retries, backoff, exit_code, .. } = step.clone();
            steps.push(RenderedStep { seq, name, shell, script, timeout, retries, backoff, exit_code });
        }
        Ok((user, steps))
    }
}

/// The last part of a URL, where that is a token.
fn token(url: &str) -> Option<String> {
    let last = url.trim_end_matches('/').rsplit('/').next()?;
    (last.len() == TOKEN_DIGITS).then(|| last.to_owned())
}

fn is_user(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=USER_BYTES_MAX).contains(&name.len())
        && name.chars().all(legal)
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// `[login]` as it is written.
pub(super) struct RawLogin {
    span: Range<usize>,
    user: Field<String>,
    port: Field<i64>,
}

/// `[[step]]` as it is written.
pub(super) struct RawStep {
    span: Range<usize>,
    name: Field<String>,
    command: Field<String>,
    script: Field<String>,
    shell: Field<Shell>,
    timeout: Field<Duration>,
    retries: Field<i64>,
    backoff: Field<Duration>,
    exit_code: Field<i64>,
}

pub(super) fn read_login(section: Section<'_, '_>, span: Range<usize>, findings: &mut Findings) -> RawLogin {
    let mut reader = Reader::new(section, findings);
    let login = RawLogin {
        span,
        user: reader.text("user", "root", template_line),
        port: reader.field("port", |value, findings| within(value, findings, 1..=65_535)),
    };
    reader.finish();
    login
}

pub(super) fn read_step(section: Section<'_, '_>, span: Range<usize>, findings: &mut Findings) -> RawStep {
    let mut reader = Reader::new(section, findings);
    let step = RawStep {
        span,
        name: reader.text("name", "join-cluster", file_name),
        command: reader.text("command", "systemctl is-system-running --wait", template_line),
        script: reader.text("script", "join.sh.j2", line),
        shell: reader.text("shell", "sh", |text| word(text, Shell::WORDS)),
        timeout: reader.duration("timeout", TIMEOUT),
        retries: reader.field("retries", |value, findings| within(value, findings, 0..=RETRIES_MAX)),
        backoff: reader.duration("backoff", BACKOFF),
        exit_code: reader.field("exit_code", |value, findings| within(value, findings, EXIT_CODES)),
    };
    reader.finish();
    step
}

fn within(value: &Value<'_>, findings: &mut Findings, bounds: RangeInclusive<i64>) -> Option<i64> {
    let number = integer(value, findings)?;
    if bounds.contains(&number) {
        return Some(number);
    }
    let help = format!("{} to {}", bounds.start(), bounds.end());
    findings.add(value.span(), format!("{number} is out of range"), help);
    None
}

/// Reports what does not go together; the result counts only if nothing is reported.
pub(super) fn check(
    kind: Option<KindWord>,
    login: Option<RawLogin>,
    steps: Vec<RawStep>,
    around: &Surroundings<'_>,
    findings: &mut Findings,
) -> Login {
    let installs = matches!(kind, None | Some(KindWord::Image | KindWord::Installer));
    let first = login.as_ref().map(|login| &login.span).or(steps.first().map(|step| &step.span));
    if let Some(span) = first.filter(|_| !installs) {
        let help = "they belong to kind = \"image\" and kind = \"installer\"".to_owned();
        findings.add(
            span.clone(),
            "nothing is installed, so there is no host for [login] and [[step]]",
            help,
        );
    }
    if let (Some(login), true) = (&login, steps.is_empty()) {
        let help = "add a [[step]], or leave it out".to_owned();
        findings.add(login.span.clone(), "[login] without a [[step]] logs in nowhere", help);
    }
    let writes_key = |text: &String| text.contains("operation.ssh_key");
    if let (Some(step), false) = (steps.first(), around.templates.values().any(writes_key)) {
        let help = "write {{ operation.ssh_key | line }} into the user's authorized_keys".to_owned();
        findings.add(step.span.clone(), "no template holds operation.ssh_key, so no step could log in", help);
    }
    if let Some(step) = steps.get(STEPS_MAX) {
        findings.add(step.span.clone(), format!("more than {STEPS_MAX} steps"), None);
    }
    let user_line = login
        .as_ref()
        .map_or_else(String::new, |login| check_line("login.user", &login.user, around, findings));
    let mut checked: Vec<Step> = Vec::new();
    for step in steps {
        if let Some(name) = step.name.given()
            && checked.iter().any(|other| other.name == name.value)
        {
            let message = format!("there is a step {:?} already", name.value);
            findings.add(name.span.clone(), message, "give each its own name".to_owned());
        }
        checked.push(check_step(step, around, findings));
    }
    Login {
        user_line: if user_line.is_empty() { "root".into() } else { user_line },
        port: login.and_then(|login| login.port.value()).map_or(SSH_PORT, |port| port as u16),
        steps: checked,
    }
}

fn check_step(raw: RawStep, around: &Surroundings<'_>, findings: &mut Findings) -> Step {
    missing(&raw.name, &raw.span, "this [[step]] has no name", "add name = \"join-cluster\"", findings);
    if let (Some(_), Some(script)) = (raw.command.given(), raw.script.given()) {
        let help = "one of the two".to_owned();
        findings.add(script.span.clone(), "a step is a command or a script, not both", help);
    } else if raw.command.is_absent() && raw.script.is_absent() {
        let help = "add command = \"…\", or script = \"FILE\"".to_owned();
        findings.add(raw.span.clone(), "this [[step]] runs nothing", help);
    }
    let run = match raw.script.is_absent() {
        true => Run::Command(check_line("step.command", &raw.command, around, findings)),
        false => Run::Script(template_named(&raw.script, around, findings)),
    };
    Step {
        name: raw.name.value_or(String::new()),
        run,
        shell: raw.shell.value_or(Shell::Sh),
        timeout: raw.timeout.value_or(TIMEOUT_DEFAULT),
        retries: raw.retries.value_or(0) as u32,
        backoff: raw.backoff.value_or(BACKOFF_DEFAULT),
        exit_code: raw.exit_code.value_or(0) as u32,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const IMAGE: &str = "name = \"p\"\nversion = \"1\"\nkind = \"image\"\n[image]\nartifact = \"a\"\n";
    const LIVE: &str = "name = \"p\"\nversion = \"1\"\nkind = \"live\"\n[boot]\nkernel = \"k\"\n";

    #[track_caller]
    fn check(top: &str, steps: &str, expected: &[&str]) {
        let key = "{% if operation.ssh_key %}{{ operation.ssh_key | line }}{% endif %}";
        let templates = BTreeMap::from([("keys.j2".to_owned(), key.to_owned())]);
        let said: Vec<String> = match Profile::parse(&format!("{top}{steps}"), &templates, "p") {
            Ok(_) => Vec::new(),
            Err(refused) => {
                refused.files.into_iter().flat_map(|file| file.list).map(|mistake| mistake.message).collect()
            }
        };
        assert_eq!(said, expected, "{steps}");
    }

    #[test]
    fn what_is_wrong_with_a_step_is_said() {
        let step = |keys: &str| format!("[[step]]\nname = \"a\"\n{keys}\n");
        let good = step("command = \"true\"");
        check(IMAGE, &good, &[]);
        check(IMAGE, &step("script = \"keys.j2\"\nshell = \"bash\"\nretries = 3\nexit_code = 255"), &[]);
        check(IMAGE, &step(""), &["this [[step]] runs nothing"]);
        check(
            IMAGE,
            &step("command = \"a\"\nscript = \"keys.j2\""),
            &["a step is a command or a script, not both"],
        );
        check(IMAGE, &step("script = \"kyes.j2\""), &["there is no template \"kyes.j2\""]);
        check(
            IMAGE,
            &step("command = \"{{ x }}\""),
            &["in step.command: `x` is neither a variable nor a fact"],
        );
        check(IMAGE, &step("command = \"a\"\nexit_code = 256"), &["256 is out of range"]);
        check(IMAGE, &step("command = \"a\"\nshell = \"zsh\""), &["\"zsh\" is not one of the choices"]);
        check(IMAGE, &format!("{good}{good}"), &["there is a step \"a\" already"]);
        check(
            IMAGE,
            "[login]\nport = 0\n",
            &["[login] without a [[step]] logs in nowhere", "0 is out of range"],
        );
        let nowhere = "nothing is installed, so there is no host for [login] and [[step]]";
        check(LIVE, &good, &[nowhere]);
    }
}
