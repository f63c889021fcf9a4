//! From what is written to what is legal: defaults, and whether the values go together.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::input::{Input, Limits};
use super::quote;
use super::raw::{
    InputWord, KindWord, Raw, RawBoot, RawDeadlines, RawFile, RawImage, RawVariable, is_variable_name,
};
use super::render::FACTS;
use super::shape::{
    Answer, Architecture, Boot, Firmware, Image, Injection, Judge, Kind, Needs, Profile, Variable,
};
use super::{step, template};
use crate::document::{At, Field, Findings, nearest};
use crate::operation::Deadlines;

/// Variables of one profile: more than an operator can be asked for.
const VARIABLES_MAX: usize = 128;
/// Files of one profile.
const FILES_MAX: usize = 64;
/// Files that are loaded beside the kernel.
const INITRDS_MAX: usize = 16;

/// What the checks look at beside the part that they check.
pub(super) struct Surroundings<'a> {
    pub templates: &'a BTreeMap<String, String>,
    /// The names of the variables.
    pub variables: Vec<String>,
}

/// Reports everything that does not go together; the result counts only if nothing is reported.
pub(super) fn check(raw: Raw, templates: &BTreeMap<String, String>, findings: &mut Findings) -> Profile {
    let names = raw.variables.iter().map(|variable| variable.name.value.clone()).collect();
    let around = Surroundings { templates, variables: names };
    for (field, key, example) in [
        (raw.name.is_absent(), "name", "name = \"debian-image\""),
        (raw.version.is_absent(), "version", "version = \"1.0\""),
        (raw.kind.is_absent(), "kind", "kind = \"image\", \"installer\", \"live\" or \"local\""),
    ] {
        if field {
            findings.add(0..0, format!("the profile has no `{key}`"), format!("add {example}"));
        }
    }
    let word = raw.kind.given().map(|at| at.value);
    if let (Some(KindWord::Live | KindWord::Local), Some(disk)) = (word, raw.disk.given()) {
        findings.add(
            disk.span.clone(),
            "a profile that writes no disk needs none",
            "leave it out".to_owned(),
        );
    }
    if let (Some(KindWord::Live | KindWord::Local), Some(heartbeat)) = (word, raw.heartbeat.given()) {
        findings.add(
            heartbeat.span.clone(),
            "a profile that installs nothing has no host that calls",
            "leave it out".to_owned(),
        );
    }
    let needs = Needs {
        ram_bytes: raw.ram.given().map_or(0, |at| at.value),
        disk_bytes: raw.disk.given().map_or(0, |at| at.value),
    };
    let login = step::check(word, raw.login, raw.steps, &around, findings);
    let kind = check_kind(word, raw.image, raw.boot, raw.files, &around, findings);
    Profile {
        name: raw.name.value_or(String::new()),
        version: raw.version.value_or(String::new()),
        summary: raw.summary.value_or(String::new()),
        kind,
        architectures: distinct(raw.architectures, findings).unwrap_or(vec![Architecture::Amd64]),
        firmware: distinct(raw.firmware, findings).unwrap_or(vec![Firmware::Bios, Firmware::Uefi]),
        secure_boot: raw.secure_boot.value_or(false),
        needs,
        variables: check_variables(raw.variables, findings),
        login,
        heartbeat_secs: raw.heartbeat.value().map(|every| every.as_secs()),
        deadlines: deadlines(raw.deadlines),
        templates: templates.clone(),
    }
}

/// A list without repetitions, and not empty; `None` where nothing is written.
fn distinct<T: Copy + PartialEq>(field: Field<Vec<At<T>>>, findings: &mut Findings) -> Option<Vec<T>> {
    let list = field.given()?;
    if list.value.is_empty() {
        findings.add(list.span.clone(), "the list is empty", "leave it out for the default".to_owned());
    }
    let mut values: Vec<T> = Vec::new();
    for item in &list.value {
        if values.contains(&item.value) {
            findings.add(item.span.clone(), "this is in the list already", "once is enough".to_owned());
        }
        values.push(item.value);
    }
    Some(values)
}

fn check_kind(
    word: Option<KindWord>,
    image: Option<RawImage>,
    boot: Option<RawBoot>,
    files: Vec<RawFile>,
    around: &Surroundings<'_>,
    findings: &mut Findings,
) -> Kind {
    // A kind that is missing or wrong is reported as such; what belongs to it is not known then.
    let Some(word) = word else { return Kind::Local };
    if let Some(file) = files.get(FILES_MAX) {
        findings.add(file.span.clone(), format!("more than {FILES_MAX} files"), None);
    }
    let misplaced = |span: &Range<usize>, section: &str, right: &str, findings: &mut Findings| {
        let message = format!("{section} has no meaning for this kind of profile");
        findings.add(span.clone(), message, format!("it belongs to {right}"));
    };
    if let Some(image) = image.as_ref().filter(|_| word != KindWord::Image) {
        misplaced(&image.span, "[image]", "kind = \"image\"", findings);
    }
    let boots = matches!(word, KindWord::Installer | KindWord::Live);
    if let Some(boot) = boot.as_ref().filter(|_| !boots) {
        misplaced(&boot.span, "[boot]", "kind = \"installer\" and kind = \"live\"", findings);
    }
    match word {
        KindWord::Image => Kind::Image {
            image: check_image(image, around, findings),
            files: check_injections(files, around, findings),
        },
        KindWord::Installer => Kind::Installer {
            boot: check_boot(boot, around, findings),
            files: check_answers(files, around, findings),
        },
        KindWord::Live => Kind::Live {
            boot: check_boot(boot, around, findings),
            files: check_answers(files, around, findings),
        },
        KindWord::Local => {
            for file in &files {
                misplaced(&file.span, "[[file]]", "the other kinds", findings);
            }
            Kind::Local
        }
    }
}

pub(super) fn check_line(
    key: &str,
    field: &Field<String>,
    around: &Surroundings<'_>,
    findings: &mut Findings,
) -> String {
    let Some(at) = field.given() else { return String::new() };
    template::check_line(key, &at.value, &at.span, &around.variables, findings);
    at.value.clone()
}

pub(super) fn missing<T>(
    field: &Field<T>,
    span: &Range<usize>,
    message: &str,
    help: &str,
    findings: &mut Findings,
) {
    if field.is_absent() {
        findings.add(span.clone(), message, help.to_owned());
    }
}

fn check_image(raw: Option<RawImage>, around: &Surroundings<'_>, findings: &mut Findings) -> Image {
    let Some(raw) = raw else {
        let help = "add a section [image] with artifact = \"NAME\"".to_owned();
        findings.add(0..0, "a profile of kind image names no image", help);
        return Image { artifact_line: String::new(), packing: None, grow: false, boot_entry: None };
    };
    missing(&raw.artifact, &raw.span, "[image] names no artifact", "add artifact = \"NAME\"", findings);
    let boot_entry = raw.boot_entry.map(|entry| {
        missing(&entry.label, &entry.span, "the boot entry has no label", "add label = \"Debian\"", findings);
        missing(
            &entry.partition,
            &entry.span,
            "the boot entry has no partition",
            "add partition = 1",
            findings,
        );
        missing(
            &entry.loader,
            &entry.span,
            "the boot entry has no loader",
            r"add loader = '\EFI\…'",
            findings,
        );
        ironwake_api::BootEntry {
            label: entry.label.value_or(String::new()),
            partition: entry.partition.value_or(1),
            loader: entry.loader.value_or(String::new()),
        }
    });
    Image {
        artifact_line: check_line("image.artifact", &raw.artifact, around, findings),
        packing: raw.packing.value(),
        grow: raw.grow.value_or(true),
        boot_entry,
    }
}

fn check_boot(raw: Option<RawBoot>, around: &Surroundings<'_>, findings: &mut Findings) -> Boot {
    let Some(raw) = raw else {
        let help = "add a section [boot] with kernel = \"NAME\"".to_owned();
        findings.add(0..0, "a profile of this kind names no kernel", help);
        return Boot { kernel_line: String::new(), initrd_lines: Vec::new(), command_line: String::new() };
    };
    missing(&raw.kernel, &raw.span, "[boot] names no kernel", "add kernel = \"NAME\"", findings);
    let initrds = raw.initrd.given().map_or(&[][..], |list| &list.value);
    if let Some(initrd) = initrds.get(INITRDS_MAX) {
        findings.add(initrd.span.clone(), format!("more than {INITRDS_MAX} files beside the kernel"), None);
    }
    for initrd in initrds {
        template::check_line("boot.initrd", &initrd.value, &initrd.span, &around.variables, findings);
    }
    Boot {
        kernel_line: check_line("boot.kernel", &raw.kernel, around, findings),
        initrd_lines: initrds.iter().map(|at| at.value.clone()).collect(),
        command_line: check_line("boot.command_line", &raw.command_line, around, findings),
    }
}

/// Whether the template of a file is there; its name.
fn check_template(file: &RawFile, around: &Surroundings<'_>, findings: &mut Findings) -> String {
    missing(
        &file.template,
        &file.span,
        "this [[file]] names no template",
        "add template = \"FILE\"",
        findings,
    );
    template_named(&file.template, around, findings)
}

/// The name of a template, which has to be there.
pub(super) fn template_named(
    field: &Field<String>,
    around: &Surroundings<'_>,
    findings: &mut Findings,
) -> String {
    let Some(at) = field.given() else { return String::new() };
    if !around.templates.contains_key(&at.value) {
        let known: Vec<&str> = around.templates.keys().map(String::as_str).collect();
        let help = match nearest(&at.value, &known) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None if known.is_empty() => "there is no template beside profile.toml".into(),
            None => format!("there are: {}", known.join(", ")),
        };
        findings.add(at.span.clone(), format!("there is no template {:?}", at.value), help);
    }
    at.value.clone()
}

/// Reports a key that belongs to files of other kinds.
fn foreign<T>(field: &Field<T>, key: &str, right: &str, findings: &mut Findings) {
    if let Some(at) = field.given() {
        let message = format!("`{key}` has no meaning for files of this kind of profile");
        findings.add(at.span.clone(), message, format!("it belongs to {right}"));
    }
}

fn check_injections(raw: Vec<RawFile>, around: &Surroundings<'_>, findings: &mut Findings) -> Vec<Injection> {
    let mut files: Vec<Injection> = Vec::new();
    for file in raw {
        let template = check_template(&file, around, findings);
        missing(
            &file.path,
            &file.span,
            "this [[file]] has no path",
            "add path = \"/etc/hostname\"",
            findings,
        );
        missing(&file.partition, &file.span, "this [[file]] has no partition", "add partition = 1", findings);
        foreign(&file.name, "name", "files that are served: kinds installer and live", findings);
        foreign(
            &file.content_type,
            "content_type",
            "files that are served: kinds installer and live",
            findings,
        );
        let partition = check_line("file.partition", &file.partition, around, findings);
        if let Some(path) = file.path.given()
            && files.iter().any(|other| other.path == path.value && other.partition_line == partition)
        {
            let message = format!("{:?} is written by another [[file]] already", path.value);
            findings.add(path.span.clone(), message, "one template for each path".to_owned());
        }
        files.push(Injection {
            template,
            partition_line: partition,
            path: file.path.value_or(String::new()),
            mode: file.mode.value_or(0o644),
            judge: file.judge.value_or(Judge::None),
        });
    }
    files
}

fn check_answers(raw: Vec<RawFile>, around: &Surroundings<'_>, findings: &mut Findings) -> Vec<Answer> {
    let mut files: Vec<Answer> = Vec::new();
    for file in raw {
        let template = check_template(&file, around, findings);
        missing(&file.name, &file.span, "this [[file]] has no name", "add name = \"preseed.cfg\"", findings);
        foreign(&file.path, "path", "files in an image: kind image", findings);
        foreign(&file.partition, "partition", "files in an image: kind image", findings);
        foreign(&file.mode, "mode", "files in an image: kind image", findings);
        if let Some(name) = file.name.given()
            && files.iter().any(|other| other.name == name.value)
        {
            let message = format!("another [[file]] is served as {:?} already", name.value);
            findings.add(name.span.clone(), message, "one name for each file".to_owned());
        }
        let judge = file.judge.value_or(Judge::None);
        files.push(Answer {
            template,
            name: file.name.value_or(String::new()),
            content_type: file.content_type.value_or(judge.content_type().to_owned()),
            judge,
        });
    }
    files
}

fn check_variables(raw: Vec<RawVariable>, findings: &mut Findings) -> BTreeMap<String, Variable> {
    if let Some(variable) = raw.get(VARIABLES_MAX) {
        let span = variable.name.span.clone();
        findings.add(span, format!("more than {VARIABLES_MAX} variables"), None);
    }
    raw.into_iter().map(|variable| check_variable(variable, findings)).collect()
}

fn check_variable(raw: RawVariable, findings: &mut Findings) -> (String, Variable) {
    let name = raw.name.value.clone();
    if !is_variable_name(&name) {
        let help = "lower-case letters, digits and `_`, beginning with a letter".to_owned();
        findings.add(raw.name.span.clone(), format!("{name:?} is not the name of a variable"), help);
    }
    if FACTS.iter().any(|fact| fact.split('.').next() == Some(&name)) {
        let help = "take another name".to_owned();
        findings.add(raw.name.span.clone(), format!("`{name}` is a fact that every template has"), help);
    }
    missing(
        &raw.kind,
        &raw.name.span,
        &format!("variable `{name}` has no type"),
        "add type = \"string\"",
        findings,
    );
    // A type that is missing or wrong is reported as such; what fits it is not known then.
    let input = check_input(&raw, findings);
    let typed = raw.kind.given().is_some() && input != Input::Choice(Vec::new());
    let [required, secret] =
        [&raw.required, &raw.secret].map(|field| field.given().is_some_and(|at| at.value));
    if let (true, Input::Boolean, Some(at)) = (secret, &input, raw.secret.given()) {
        let help = "leave out `secret`, or take another type".to_owned();
        findings.add(at.span.clone(), "a boolean cannot be secret: it is one of two words", help);
    }
    let mut default = None;
    if let Some(given) = raw.default.given() {
        if secret {
            let help = "whoever reads the profile would read it: give it for the site or in the operation";
            findings.add(raw.name.span.clone(), "a secret has no default", help.to_owned());
        } else if required {
            let help = "leave out `required`, or the default".to_owned();
            findings.add(given.span.clone(), "a default makes `required` meaningless", help);
        } else if typed {
            match input.read(&given.value) {
                Ok(value) => default = Some(value),
                Err((message, help)) => findings.add(given.span.clone(), message, help),
            }
        }
    }
    (name, Variable { input, default, required, secret, help: raw.help.value_or(String::new()) })
}

fn check_input(raw: &RawVariable, findings: &mut Findings) -> Input {
    use InputWord::{Choice, Integer, List, String, Text};
    let word = raw.kind.given().map_or(InputWord::String, |at| at.value);
    let typed = raw.kind.given().is_some();
    let limits = Limits {
        min: raw.min.given().map(|at| at.value),
        max: raw.max.given().map(|at| at.value),
        pattern: raw.pattern.given().map(|at| at.value.clone()),
    };
    if let (Some(min), Some(max)) = (raw.min.given(), raw.max.given())
        && min.value > max.value
    {
        let message = format!("nothing is at least {} and at most {}", min.value, max.value);
        findings.add(max.span.clone(), message, "a maximum that is not below the minimum".to_owned());
    }
    let mut meaningless = |span: Option<&Range<usize>>, key: &str, types: &str| {
        if let Some(span) = span.filter(|_| typed) {
            findings.add(
                span.clone(),
                format!("`{key}` has no meaning for this type"),
                format!("it belongs to {types}"),
            );
        }
    };
    if !matches!(word, Integer | String | Text | List) {
        meaningless(raw.min.given().map(|at| &at.span), "min", "integer, string, text and list");
        meaningless(raw.max.given().map(|at| &at.span), "max", "integer, string, text and list");
    }
    if !matches!(word, String | Text | List) {
        meaningless(raw.pattern.given().map(|at| &at.span), "pattern", "string, text and list");
    }
    if word != Choice {
        meaningless(raw.values.given().map(|at| &at.span), "values", "choice");
    }
    match word {
        String => Input::String(limits),
        Text => Input::Text(limits),
        Integer => Input::Integer(limits),
        List => Input::List(limits),
        Choice => {
            let values = raw.values.given().map_or(&[][..], |list| &list.value);
            if values.is_empty() && !matches!(raw.values, Field::Bad) {
                let span = raw.name.span.clone();
                findings.add(span, "a choice without values", "add values = [\"one\", \"other\"]".to_owned());
            }
            if let Some(value) = values.iter().find(|value| value.value.chars().any(quote::is_control)) {
                findings.add(value.span.clone(), "a choice is one line", None);
            }
            Input::Choice(values.iter().map(|at| at.value.clone()).collect())
        }
        InputWord::Boolean => Input::Boolean,
        InputWord::Hostname => Input::Hostname,
        InputWord::Address => Input::Address,
        InputWord::Cidr => Input::Cidr,
        InputWord::SshKeys => Input::SshKeys,
    }
}

fn deadlines(raw: RawDeadlines) -> Deadlines {
    let defaults = Deadlines::default();
    let millis = |given: Option<Duration>, default| given.map_or(default, |lasts| lasts.as_millis() as u64);
    Deadlines {
        registered: millis(raw.registered, defaults.registered),
        pxe_booted: millis(raw.pxe_booted, defaults.pxe_booted),
        installing: millis(raw.installing, defaults.installing),
        installed: millis(raw.installed, defaults.installed),
        first_boot: millis(raw.first_boot, defaults.first_boot),
        joining: millis(raw.joining, defaults.joining),
    }
}
