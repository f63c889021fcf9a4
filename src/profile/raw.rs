//! All that can be written in `profile.toml`: each value for itself, with its place. Whether they go together is
//! for `check`.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use ironwake_api::Packing;
use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

use super::shape::{Architecture, Firmware, Judge};
use super::step::{self, RawLogin, RawStep};
use crate::document::value::{Wrong, line, quoted, word};
use crate::document::{At, Field, Findings, Reader, Section, Value, describe};
use crate::operation::size_bytes;

/// A state lasts at least as long as firmware takes to start, and a month is a machine that nobody waits for.
const DEADLINE: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(30 * 86_400);
/// Calls that are more frequent tell nobody more, and a host that calls less than daily is not watched.
const HEARTBEAT: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(86_400);
/// Longest name of a profile, variable, template or served file.
const NAME_BYTES_MAX: usize = 63;
/// Longest path of a file in an image.
const PATH_BYTES_MAX: usize = 255;
/// Partitions of one disk, as GPT has them.
const PARTITIONS_MAX: i64 = 128;

/// The whole document.
pub(super) struct Raw {
    pub name: Field<String>,
    pub version: Field<String>,
    pub summary: Field<String>,
    pub kind: Field<KindWord>,
    pub architectures: Field<Vec<At<Architecture>>>,
    pub firmware: Field<Vec<At<Firmware>>>,
    pub secure_boot: Field<bool>,
    pub heartbeat: Field<Duration>,
    pub ram: Field<u64>,
    pub disk: Field<u64>,
    pub variables: Vec<RawVariable>,
    pub image: Option<RawImage>,
    pub boot: Option<RawBoot>,
    pub files: Vec<RawFile>,
    pub login: Option<RawLogin>,
    pub steps: Vec<RawStep>,
    pub deadlines: RawDeadlines,
}

/// `kind`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KindWord {
    Image,
    Installer,
    Live,
    Local,
}

/// `[variables.NAME]`
pub(super) struct RawVariable {
    pub name: At<String>,
    pub kind: Field<InputWord>,
    pub values: Field<Vec<At<String>>>,
    pub default: Field<Json>,
    pub required: Field<bool>,
    pub secret: Field<bool>,
    pub help: Field<String>,
    pub min: Field<i64>,
    pub max: Field<i64>,
    pub pattern: Field<String>,
}

/// `type` of a variable
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InputWord {
    String,
    Text,
    Integer,
    Boolean,
    Choice,
    Hostname,
    Address,
    Cidr,
    SshKeys,
    List,
}

/// `[image]`
pub(super) struct RawImage {
    pub span: Range<usize>,
    pub artifact: Field<String>,
    pub packing: Field<Packing>,
    pub grow: Field<bool>,
    pub boot_entry: Option<RawBootEntry>,
}

/// `[image.boot_entry]`
pub(super) struct RawBootEntry {
    pub span: Range<usize>,
    pub label: Field<String>,
    pub partition: Field<u32>,
    pub loader: Field<String>,
}

/// `[boot]`
pub(super) struct RawBoot {
    pub span: Range<usize>,
    pub kernel: Field<String>,
    pub initrd: Field<Vec<At<String>>>,
    pub command_line: Field<String>,
}

/// `[[file]]`
pub(super) struct RawFile {
    pub span: Range<usize>,
    pub template: Field<String>,
    pub judge: Field<Judge>,
    pub partition: Field<String>,
    pub path: Field<String>,
    pub mode: Field<u32>,
    pub name: Field<String>,
    pub content_type: Field<String>,
}

/// `[deadlines]`
#[derive(Default)]
pub(super) struct RawDeadlines {
    pub registered: Option<Duration>,
    pub pxe_booted: Option<Duration>,
    pub installing: Option<Duration>,
    pub installed: Option<Duration>,
    pub first_boot: Option<Duration>,
    pub joining: Option<Duration>,
}

/// Reads the document's top.
pub(super) fn read(table: &DeTable<'_>, findings: &mut Findings) -> Raw {
    let mut top = Section::new("the file", table);
    let mut needs = Reader::new(top.section("needs", "[needs]", findings), findings);
    let (ram, disk) = (needs.text("ram", "2GiB", size), needs.text("disk", "8G", size));
    needs.finish();
    let deadlines = read_deadlines(top.section("deadlines", "[deadlines]", findings), findings);
    let variables = top.named_sections("variables", findings);
    let variables =
        variables.into_iter().map(|(name, section)| read_variable(name, section, findings)).collect();
    let mut reader = Reader::new(top, findings);
    let raw = Raw {
        name: reader.text("name", "debian-image", profile_name),
        version: reader.text("version", "1.0", version),
        summary: reader.text("summary", "Debian from an image", line),
        kind: reader.text("kind", "image", kind),
        architectures: reader.texts("architectures", "amd64", |text| word(text, Architecture::WORDS)),
        firmware: reader.texts("firmware", "uefi", |text| word(text, Firmware::WORDS)),
        secure_boot: reader.boolean("secure_boot"),
        heartbeat: reader.duration("heartbeat", HEARTBEAT),
        ram,
        disk,
        variables,
        image: reader.table("image", "[image]", read_image),
        boot: reader.table("boot", "[boot]", read_boot),
        files: reader.tables("file", "[[file]]", read_file).unwrap_or_default(),
        login: reader.table("login", "[login]", step::read_login),
        steps: reader.tables("step", "[[step]]", step::read_step).unwrap_or_default(),
        deadlines,
    };
    reader.finish();
    raw
}

fn read_variable(name: At<String>, section: Section<'_, '_>, findings: &mut Findings) -> RawVariable {
    let mut reader = Reader::new(section, findings);
    let variable = RawVariable {
        name,
        kind: reader.text("type", "string", input),
        values: reader.texts("values", "trixie", line),
        default: reader.field("default", json),
        required: reader.boolean("required"),
        secret: reader.boolean("secret"),
        help: reader.text("help", "who may log in", line),
        min: reader.field("min", integer),
        max: reader.field("max", integer),
        pattern: reader.text("pattern", "*.example.org", line),
    };
    reader.finish();
    variable
}

fn read_image(section: Section<'_, '_>, span: Range<usize>, findings: &mut Findings) -> RawImage {
    let mut reader = Reader::new(section, findings);
    let boot_entry = reader.table("boot_entry", "[image.boot_entry]", read_boot_entry);
    let image = RawImage {
        span,
        artifact: reader.text("artifact", "debian/trixie", template_line),
        packing: reader.text("packing", "zstd", packing),
        grow: reader.boolean("grow"),
        boot_entry,
    };
    reader.finish();
    image
}

fn read_boot_entry(section: Section<'_, '_>, span: Range<usize>, findings: &mut Findings) -> RawBootEntry {
    let mut reader = Reader::new(section, findings);
    let entry = RawBootEntry {
        span,
        label: reader.text("label", "Debian", line),
        partition: reader.field("partition", partition_number),
        loader: reader.text("loader", "\\EFI\\debian\\shimx64.efi", loader),
    };
    reader.finish();
    entry
}

fn read_boot(section: Section<'_, '_>, span: Range<usize>, findings: &mut Findings) -> RawBoot {
    let mut reader = Reader::new(section, findings);
    let boot = RawBoot {
        span,
        kernel: reader.text("kernel", "debian-installer-13/linux", template_line),
        initrd: reader.texts("initrd", "debian-installer-13/initrd.gz", template_line),
        command_line: reader.text("command_line", "quiet", |text| Ok(text.to_owned())),
    };
    reader.finish();
    boot
}

fn read_file(section: Section<'_, '_>, span: Range<usize>, findings: &mut Findings) -> RawFile {
    let mut reader = Reader::new(section, findings);
    let file = RawFile {
        span,
        template: reader.text("template", "hostname.j2", line),
        judge: reader.text("judge", "preseed", |text| word(text, Judge::WORDS)),
        partition: reader.field("partition", partition),
        path: reader.text("path", "/etc/hostname", path),
        mode: reader.text("mode", "0644", mode),
        name: reader.text("name", "preseed.cfg", file_name),
        content_type: reader.text("content_type", "text/plain", content_type),
    };
    reader.finish();
    file
}

fn read_deadlines(section: Option<Section<'_, '_>>, findings: &mut Findings) -> RawDeadlines {
    let mut reader = Reader::new(section, findings);
    let mut state = |key| reader.duration(key, DEADLINE).value();
    let deadlines = RawDeadlines {
        registered: state("registered"),
        pxe_booted: state("pxe_booted"),
        installing: state("installing"),
        installed: state("installed"),
        first_boot: state("first_boot"),
        joining: state("joining"),
    };
    reader.finish();
    deadlines
}

fn kind(text: &str) -> Result<KindWord, Wrong> {
    use KindWord::{Image, Installer, Live, Local};
    word(text, &[("image", Image), ("installer", Installer), ("live", Live), ("local", Local)])
}

fn input(text: &str) -> Result<InputWord, Wrong> {
    use InputWord::*;
    const WORDS: [(&str, InputWord); 10] = [
        ("string", String),
        ("text", Text),
        ("integer", Integer),
        ("boolean", Boolean),
        ("choice", Choice),
        ("hostname", Hostname),
        ("address", Address),
        ("cidr", Cidr),
        ("ssh_keys", SshKeys),
        ("list", List),
    ];
    word(text, &WORDS)
}

fn packing(text: &str) -> Result<Packing, Wrong> {
    use Packing::{Bzip2, Gzip, Raw, Xz, Zstd};
    word(text, &[("raw", Raw), ("gzip", Gzip), ("xz", Xz), ("zstd", Zstd), ("bzip2", Bzip2)])
}

/// Whether `text` is a name of letters that pass `legal`, beginning with a letter or digit.
fn is_name(text: &str, legal: impl Fn(u8) -> bool) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(legal)
}

fn profile_name(text: &str) -> Result<String, Wrong> {
    if is_name(text, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        return Ok(text.to_owned());
    }
    let help = format!("1 to {NAME_BYTES_MAX} lower-case letters, digits and `-`, such as \"debian-image\"");
    Err((format!("{} is not the name of a profile", quoted(text)), help))
}

/// A name that templates can use.
pub(crate) fn is_variable_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && is_name(text, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn version(text: &str) -> Result<String, Wrong> {
    if is_name(text, |byte| byte.is_ascii_alphanumeric() || b".+~-".contains(&byte)) {
        return Ok(text.to_owned());
    }
    let help = "letters, digits and . + ~ -, such as \"1.0\"".to_owned();
    Err((format!("{} is not a version", quoted(text)), help))
}

pub(super) fn file_name(text: &str) -> Result<String, Wrong> {
    if is_name(text, |byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        return Ok(text.to_owned());
    }
    let help = "letters, digits and . _ -, the last part of a URL, such as \"preseed.cfg\"".to_owned();
    Err((format!("{} is not the name of a file", quoted(text)), help))
}

fn content_type(text: &str) -> Result<String, Wrong> {
    let token = |part: &str| is_name(part, |byte| byte.is_ascii_alphanumeric() || b".+-".contains(&byte));
    let plain = text.split(';').next().unwrap_or_default().trim();
    let parameters = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    match plain.split_once('/') {
        Some((kind, subtype)) if token(kind) && token(subtype) && parameters => Ok(text.to_owned()),
        _ => Err((format!("{} is not a media type", quoted(text)), "such as \"text/plain\"".into())),
    }
}

fn size(text: &str) -> Result<u64, Wrong> {
    let wrong =
        || (format!("{} is not a size", quoted(text)), "such as \"2GiB\", \"8G\" or \"512MiB\"".into());
    size_bytes(text).ok_or_else(wrong)
}

/// Any text: its mistakes as a template are found when the variables are known.
pub(super) fn template_line(text: &str) -> Result<String, Wrong> {
    match text.trim().is_empty() {
        false => Ok(text.to_owned()),
        true => Err(("it is empty".into(), "the name of an artifact, such as \"discovery/vmlinuz\"".into())),
    }
}

fn path(text: &str) -> Result<String, Wrong> {
    let help = || "an absolute path without `..`, such as \"/etc/hostname\"".to_owned();
    let parts = || text.split('/').skip(1);
    let legal = text.starts_with('/')
        && text.len() <= PATH_BYTES_MAX
        && !text.chars().any(char::is_control)
        && parts().all(|part| !matches!(part, "" | "." | ".."));
    if legal {
        Ok(text.to_owned())
    } else {
        Err((format!("{} is not the path of a file", quoted(text)), help()))
    }
}

fn mode(text: &str) -> Result<u32, Wrong> {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if octal => Ok(mode),
        _ => {
            let help = "three or four octal digits, such as \"0644\"".to_owned();
            Err((format!("{} is not a file mode", quoted(text)), help))
        }
    }
}

fn loader(text: &str) -> Result<String, Wrong> {
    let legal = |c: char| c.is_ascii_graphic() && !"/:*?\"<>|".contains(c);
    if text.starts_with('\\') && text.chars().all(legal) && !text.contains("\\\\") && !text.ends_with('\\') {
        return Ok(text.to_owned());
    }
    let help = r"a path on the EFI system partition with backslashes, such as '\EFI\debian\shimx64.efi'";
    Err((format!("{} is not the path of a loader", quoted(text)), help.into()))
}

pub(super) fn integer(value: &Value<'_>, findings: &mut Findings) -> Option<i64> {
    let read = match value.get_ref() {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    };
    if read.is_none() {
        let message = format!("found {}, expected a whole number", describe(value.get_ref()));
        findings.add(value.span(), message, "such as 8, without quotes".to_owned());
    }
    read
}

fn partition_number(value: &Value<'_>, findings: &mut Findings) -> Option<u32> {
    let number = integer(value, findings)?;
    if (1..=PARTITIONS_MAX).contains(&number) {
        return u32::try_from(number).ok();
    }
    let message = format!("{number} is not the number of a partition");
    findings.add(value.span(), message, format!("1 to {PARTITIONS_MAX}"));
    None
}

/// A partition's number, or a line that gives its number or label.
fn partition(value: &Value<'_>, findings: &mut Findings) -> Option<String> {
    match value.get_ref() {
        DeValue::Integer(_) => partition_number(value, findings).map(|number| number.to_string()),
        DeValue::String(text) if !text.trim().is_empty() => Some(text.clone().into_owned()),
        other => {
            let message = format!("found {}, expected a partition", describe(other));
            findings.add(
                value.span(),
                message,
                "its number, such as 1, or its label, such as \"root\"".to_owned(),
            );
            None
        }
    }
}

/// The default of a variable, whose type is judged later.
fn json(value: &Value<'_>, findings: &mut Findings) -> Option<Json> {
    match value.get_ref() {
        DeValue::String(text) => Some(Json::from(text.as_ref())),
        DeValue::Boolean(on) => Some(Json::from(*on)),
        DeValue::Integer(_) => integer(value, findings).map(Json::from),
        DeValue::Array(items) => items.iter().map(|item| json(item, findings)).collect(),
        other => {
            let message = format!("found {}, which no variable takes", describe(other));
            findings.add(value.span(), message, "a string, a number, true, false or a list".to_owned());
            None
        }
    }
}
