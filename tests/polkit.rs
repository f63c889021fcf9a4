//! The polkit rule grants what the daemon's code asks for, to the daemon's user, and nothing else.

mod bus;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use bus::PrivateBus;
use futures_util::StreamExt;
use ironwake::systemd::method::{METHODS, RESTART_VERB, START_VERB, granted};
use ironwake::systemd::{RESTARTABLE, STARTABLE};
use serde_json::{Value, json};
use zbus::{Connection, MessageStream, Variant, connection};

/// polkit's objects as polkit(8) has them, with a rule and questions to put in; ECMAScript 5, as polkit's own engine reads it.
const JUDGE: &str = r#"
var rule = null;
var polkit = { Result: { YES: "yes", NO: "no", NOT_HANDLED: null }, addRule: function (given) { rule = given; } };
RULE
var judged = QUESTIONS.map(function (asked) {
    var action = { id: asked.action, lookup: function (key) { return asked.details[key]; } };
    var subject = { user: asked.user, groups: ["ironwake"], local: true, active: true };
    subject.isInGroup = function () { return true; };
    return rule(action, subject);
});
(typeof print === "function" ? print : console.log)(JSON.stringify(judged));
"#;
/// Programs that run it: Debian's polkit has the first one inside.
const ENGINES: &[&str] = &["duk", "node"];
/// Debian's polkit, where it is installed (package polkitd).
const POLKITD: &str = "/usr/lib/polkit-1/polkitd";
/// Starts it with a user `ironwake`, and with our rule as its only one, in a mount namespace.
const START: &str = "set -e
mount --bind \"$1/passwd\" /etc/passwd
mount --bind \"$1/group\" /etc/group
mount --bind \"$1/rules\" /usr/share/polkit-1/rules.d
mount --bind \"$1/none\" /etc/polkit-1/rules.d
exec \"$2\" --no-debug";
/// Ids that no user of a test host has.
const IRONWAKE: u32 = 642_424;
const SOMEBODY: u32 = 642_425;
const MANAGE_UNITS: &str = "org.freedesktop.systemd1.manage-units";

fn rule() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/usr/share/polkit-1/rules.d/50-ironwake.rules")
}

/// What the rule answers to each question; nothing where this host has no JavaScript.
fn judge(asked: &[Value]) -> Option<Vec<Option<String>>> {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("judge.js");
    let questions = serde_json::to_string(asked).expect("JSON");
    let text = JUDGE.replace("RULE", &fs::read_to_string(rule()).expect("the rule"));
    fs::write(&script, text.replace("QUESTIONS", &questions)).expect("written");
    for engine in ENGINES {
        let output = match Command::new(engine).arg(&script).output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            ran => ran.expect("it runs"),
        };
        assert!(output.status.success(), "{engine}: {}", String::from_utf8_lossy(&output.stderr));
        return Some(serde_json::from_slice(&output.stdout).expect("a list of answers"));
    }
    eprintln!(
        "SKIPPED: what the rule grants is judged by duk (package duktape) or node, and neither is here"
    );
    None
}

fn question(action: &str, user: &str, unit: Option<&str>, verb: Option<&str>) -> Value {
    json!({"action": action, "user": user, "details": {"unit": unit, "verb": verb}})
}

/// Every action that polkit knows on this host, and those that would do the most harm.
fn known_actions() -> BTreeSet<String> {
    let mut actions: BTreeSet<String> = [
        "org.freedesktop.hostname1.set-hostname",
        "org.freedesktop.hostname1.get-product-uuid",
        "org.freedesktop.timedate1.set-time",
        "org.freedesktop.network1.set-dns-servers",
        "org.freedesktop.login1.reboot-ignore-inhibit",
        "org.freedesktop.login1.power-off-ignore-inhibit",
        "org.freedesktop.login1.halt",
        "org.freedesktop.systemd1.manage-unit-files",
        "org.freedesktop.systemd1.reload-daemon",
        "org.freedesktop.systemd1.set-environment",
        "org.freedesktop.policykit.exec",
        "org.freedesktop.machine1.shell",
    ]
    .map(str::to_owned)
    .into();
    for entry in fs::read_dir("/usr/share/polkit-1/actions").into_iter().flatten().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let ids = text.split("<action id=\"").skip(1).filter_map(|rest| rest.split('"').next());
        actions.extend(ids.map(str::to_owned));
    }
    actions
}

#[test]
fn the_rule_names_what_the_code_calls_and_nothing_else() {
    let text = fs::read_to_string(rule()).expect("the rule");
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let quoted: BTreeSet<&str> = code.split('"').skip(1).step_by(2).collect();
    let mut expected: BTreeSet<&str> = granted().into_iter().map(|(action, _)| action).collect();
    expected.extend(RESTARTABLE);
    expected.extend(STARTABLE);
    expected.extend(["ironwake", "unit", "verb", RESTART_VERB, START_VERB]);
    assert_eq!(quoted, expected);
    // What changes something takes a permission; what only asks takes none.
    for method in METHODS {
        let asks = ["List", "Can", "Describe"].iter().any(|verb| method.member.starts_with(verb));
        assert_eq!(method.actions.is_empty(), asks, "{}", method.member);
        let once = ["Reboot", "PowerOff", "RestartUnit", "StartUnit"].contains(&method.member);
        assert_eq!(method.repeatable, !once, "{}", method.member);
    }
}

#[test]
fn polkit_would_grant_just_that_to_just_that_user() {
    let granted = granted();
    let mut asked = Vec::new();
    let mut expected = Vec::new();
    let mut ask = |question: Value, answer: bool| {
        asked.push(question);
        expected.push(answer);
    };
    for (action, unit) in &granted {
        let (unit, verb) = unit.unzip();
        ask(question(action, "ironwake", unit, verb), true);
        for user in ["root", "nobody", "ironwake-builder", "ironwake-console", "ironwake-ssh", "", "Ironwake"]
        {
            ask(question(action, user, unit, verb), false);
        }
    }
    for action in known_actions() {
        let ours = granted.iter().any(|(known, _)| *known == action);
        if !ours || action == MANAGE_UNITS {
            ask(question(&action, "ironwake", None, None), false);
            ask(question(&action, "ironwake", Some("ssh.service"), Some("restart")), false);
        }
    }
    for verb in ["start", "stop", "reload", "reload-or-restart", "try-restart", "kill", "set-property", ""] {
        ask(question(MANAGE_UNITS, "ironwake", Some("ironwake.service"), Some(verb)), false);
    }
    for unit in STARTABLE {
        for verb in ["stop", "restart", "reload", "kill", "set-property", ""] {
            ask(question(MANAGE_UNITS, "ironwake", Some(unit), Some(verb)), false);
        }
    }
    for unit in ["ironwake-fall-back.service", "ironwake-unattended.service", "systemd-reboot.service", ""] {
        ask(question(MANAGE_UNITS, "ironwake", Some(unit), Some("start")), false);
    }
    for unit in ["ironwake.socket", "ironwake", "x-ironwake.service", "ironwake-console@tty2.service", ""] {
        ask(question(MANAGE_UNITS, "ironwake", Some(unit), Some("restart")), false);
    }
    let Some(judged) = judge(&asked) else { return };
    for ((question, expected), answer) in asked.iter().zip(expected).zip(judged) {
        assert_eq!(answer.as_deref() == Some("yes"), expected, "{question}: {answer:?}");
    }
}

/// A child that ends with its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// polkit as Debian has it, on a bus of ours; nothing where this host has none.
async fn polkitd(bus: &PrivateBus, connection: &Connection, folder: &Path) -> Option<Ended> {
    if !Path::new(POLKITD).exists() || !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: the rule is judged by Debian's polkit (package polkitd), as root");
        return None;
    }
    for (name, entry) in [("passwd", ":x:ID:ID::/:/bin/false"), ("group", ":x:ID:")] {
        let mut text = fs::read_to_string(Path::new("/etc").join(name)).expect("it");
        for (user, id) in [("ironwake", IRONWAKE), ("somebody", SOMEBODY)] {
            text = text
                .lines()
                .filter(|line| !line.starts_with(&format!("{user}:")))
                .map(|line| format!("{line}\n"))
                .collect();
            text.push_str(&format!("{user}{}\n", entry.replace("ID", &id.to_string())));
        }
        fs::write(folder.join(name), text).expect("written");
    }
    for name in ["rules", "none"] {
        fs::create_dir(folder.join(name)).expect("made");
    }
    fs::copy(rule(), folder.join("rules/50-ironwake.rules")).expect("copied");
    // It reads as a user of its own.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("changed");
    let rule = "type='signal',member='NameOwnerChanged',arg0='org.freedesktop.PolicyKit1'";
    let mut owners = MessageStream::for_match_rule(rule, connection, None).await.expect("a rule");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", START, "polkit"]).arg(folder).arg(POLKITD);
    let child = Ended(command.env("DBUS_SYSTEM_BUS_ADDRESS", bus.address()).spawn().expect("it starts"));
    let began = tokio::time::timeout(bus::PATIENCE, owners.next()).await;
    began.expect("polkit is on the bus").expect("a signal").expect("a message");
    Some(child)
}

/// Whether polkit lets a process of a user do something.
async fn allows(
    connection: &Connection,
    process: &Child,
    user: u32,
    action: &str,
    details: &HashMap<&str, &str>,
) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id())).expect("it runs");
    // proc_pid_stat(5): the twenty-second field, behind a name that may hold anything.
    let start: u64 = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().nth(19)?.parse().ok())
        .expect("when it was started");
    let subject: HashMap<&str, Variant<'_>> = HashMap::from([
        ("pid", Variant::from(process.id())),
        ("start-time", Variant::from(start)),
        ("uid", Variant::from(i32::try_from(user).expect("small"))),
    ]);
    let asked = (("unix-process", subject), action, details, 0_u32, "");
    let answer = connection.call_method(
        Some("org.freedesktop.PolicyKit1"),
        "/org/freedesktop/PolicyKit1/Authority",
        Some("org.freedesktop.PolicyKit1.Authority"),
        "CheckAuthorization",
        &asked,
    );
    let answer = answer.await.expect("judged");
    let body = answer.body();
    let judged: ((bool, bool, HashMap<String, String>),) = body.deserialize().expect("an answer");
    judged.0.0
}

/// polkit itself, with systemd's own actions, and processes of two users.
#[tokio::test]
async fn debians_polkit_reads_the_rule_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let bus = PrivateBus::start(folder.path());
    let connection = connection::Builder::address(bus.address()).build().await.expect("on the bus");
    let Some(_polkitd) = polkitd(&bus, &connection, folder.path()).await else { return };
    let process = |id: u32| {
        let mut command = Command::new("sleep");
        Ended(command.arg("600").uid(id).gid(id).spawn().expect("it starts"))
    };
    let (ours, theirs) = (process(IRONWAKE), process(SOMEBODY));
    let known = known_actions();
    let judge = async |action: &str, unit: Option<&str>, verb: &str, expected: bool| {
        let details: HashMap<&str, &str> =
            unit.map(|unit| HashMap::from([("unit", unit), ("verb", verb)])).unwrap_or_default();
        let allowed = allows(&connection, &ours.0, IRONWAKE, action, &details).await;
        assert_eq!(allowed, expected, "{action} {unit:?} {verb}");
        assert!(
            !allows(&connection, &theirs.0, SOMEBODY, action, &details).await,
            "{action} {unit:?} {verb}"
        );
    };
    // What this release of systemd does not know yet, nobody can be asked about.
    for (action, unit) in granted().into_iter().filter(|(action, _)| known.contains(*action)) {
        let (unit, verb) = unit.unzip();
        judge(action, unit, verb.unwrap_or(RESTART_VERB), true).await;
    }
    judge(MANAGE_UNITS, Some("ssh.service"), RESTART_VERB, false).await;
    judge(MANAGE_UNITS, Some("ironwake.service"), "stop", false).await;
    for action in
        ["login1.reboot-ignore-inhibit", "login1.halt", "timedate1.set-time", "systemd1.reload-daemon"]
    {
        judge(&format!("org.freedesktop.{action}"), None, "", false).await;
    }
}
