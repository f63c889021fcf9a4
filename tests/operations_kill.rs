//! The daemon killed again and again while machines are rebuilt: no operation is lost, none is installed twice, and
//! no history has a step that the table does not know.
//!
//! The daemon is the real one, in a namespace; the machines are threads that say what firmware, agent and host say.

#[path = "lab/mod.rs"]
mod lab;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, mpsc};
use std::time::{Duration, Instant};

use ironwake::operation::{Happening, next};
use ironwake_api::client::{Client, ClientError};
use ironwake_api::{
    ArmRequest, Claim, Operation, OperationKind, OperationNew, OperationQuery, OperationState, Work,
};
use lab::{Daemon, LabError, LabName, Namespace, Response};
use serde_json::{Value, json};

const SERVER: &str = "10.77.0.1:8080";
const MACHINES: u8 = 4;
/// A machine that gets no answer for so long has found a bug.
const PATIENCE: Duration = Duration::from_secs(120);
/// Steps of all machines between two kills, at most; none at all kills a daemon that has just started.
const STEPS_MAX: u32 = 10;

const PROFILE: &str = r#"
name = "small"
version = "1"
summary = "a small image that phones home"
kind = "image"
architectures = ["amd64"]
firmware = ["bios", "uefi"]

[image]
artifact = "small"

[[file]]
template = "home.j2"
partition = "root"
path = "/home"
"#;

/// Whether the daemon answers, as far as its killer knows.
#[derive(Default)]
struct Up {
    since: Mutex<u64>,
    changed: Condvar,
}

impl Up {
    fn count(&self) -> u64 {
        *self.since.lock().expect("not poisoned")
    }

    fn again(&self) {
        *self.since.lock().expect("not poisoned") += 1;
        self.changed.notify_all();
    }

    /// Waits until it was started since `count`.
    fn wait(&self, count: u64) {
        let since = self.since.lock().expect("not poisoned");
        let waited = self.changed.wait_timeout_while(since, PATIENCE, |since| *since == count);
        assert!(!waited.expect("not poisoned").1.timed_out(), "the daemon was not started again");
    }
}

/// What all machines share.
struct World<'a> {
    /// Where each machine is, with a card and an address of its own.
    places: &'a [Namespace],
    socket: &'a Path,
    up: &'a Up,
    stop: &'a AtomicBool,
    steps: mpsc::Sender<()>,
}

/// What one machine has seen, for the judgement at the end.
#[derive(Default)]
struct Seen {
    /// Operations that the daemon has acknowledged, and the last state that it has told.
    told: BTreeMap<String, OperationState>,
    /// How often each operation's kernel was served whole.
    served: BTreeMap<String, u32>,
    /// Rebuilds that went to their end.
    ready: u32,
    /// Boots whose kernel was taken by a kill: served as far as the daemon knows.
    lost: u32,
}

struct Machine<'a> {
    world: World<'a>,
    operators: Client,
    runtime: tokio::runtime::Runtime,
    mac: String,
    place: &'a Namespace,
    id: String,
    seen: Seen,
}

impl Machine<'_> {
    /// Asks until there is an answer, whatever it says.
    fn http(&self, method: &str, path: &str, headers: &str, body: &str) -> Response {
        let began = Instant::now();
        loop {
            if let Some(response) = self.http_once(method, path, headers, body)
                // It ends, or its discovery image is not loaded yet.
                && response.status != 503
                && !response.text().contains("not built yet")
            {
                return response;
            }
            assert!(began.elapsed() < PATIENCE, "{method} {path} was not answered");
        }
    }

    /// Asks once; `None` where the daemon went away, and then waits until it is back.
    fn http_once(&self, method: &str, path: &str, headers: &str, body: &str) -> Option<Response> {
        let up = self.world.up.count();
        let length = format!("content-type: application/json\r\ncontent-length: {}\r\n{headers}", body.len());
        let server = SERVER.parse().expect("an address");
        let answer = lab::request(self.place, server, method, path, &length, body);
        let whole = |response: &Response| {
            let length = response.header("content-length").and_then(|length| length.parse().ok());
            method == "HEAD" || length.is_none_or(|length: usize| length == response.body.len())
        };
        match answer {
            Ok(response) if whole(&response) => Some(response),
            _ => {
                self.world.up.wait(up);
                None
            }
        }
    }

    /// Calls the operators' API until there is an answer.
    fn call<T>(&self, call: impl AsyncFn(&Client) -> Result<T, ClientError>) -> Result<T, String> {
        loop {
            let up = self.world.up.count();
            let answer = self.runtime.block_on(call(&self.operators));
            match answer {
                Ok(value) => return Ok(value),
                Err(ClientError::Refused(problem)) if problem.status != 503 => return Err(problem.detail),
                Err(_) => self.world.up.wait(up),
            }
        }
    }

    fn enroll(&mut self) {
        let disk = json!({"name": "sda", "serial": format!("D{}", self.mac), "size_bytes": 1_u64 << 30});
        let body = json!({
            "agent": "test",
            "boot_mac": self.mac,
            "inventory": {
                "schema": 1,
                "system": {"serial": format!("KILL-{}", self.mac)},
                "nics": [{"name": "eth0", "mac": self.mac}],
                "firmware": {"kind": "bios"},
                "memory": {"total_bytes": 8_u64 << 30},
                "disks": [disk],
            },
        });
        let answer = self.http("POST", "/boot/v1/enroll", "", &body.to_string());
        assert!(answer.status < 300, "{}", answer.text());
        let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
        self.id = answer["machine"].as_str().expect("an id").to_owned();
        let id = self.id.clone();
        self.call(async |client| client.enroll(&id).await).expect("enrolled");
    }

    /// Has an operation armed, whatever becomes of the answers.
    fn arm(&mut self) -> String {
        let new = OperationNew {
            kind: OperationKind::Rebuild,
            profile: Some("small".into()),
            variables: BTreeMap::new(),
            disks: vec!["only".into()],
            arm: true,
            armed_secs: None,
        };
        let key = self.id.clone();
        // A conflict is the operation whose answer was lost.
        if let Ok(operation) = self.call(async |client| client.operate(&key, &new).await) {
            self.seen.told.insert(operation.id.clone(), operation.state);
        }
        let machine = self.call(async |client| client.machine(&key).await).expect("a machine");
        let running = machine.operation.expect("an operation");
        if running.state == OperationState::Registered {
            let arm = async |client: &Client| client.arm(&running.id, &ArmRequest::default()).await;
            // A conflict: it was armed, and that answer was lost.
            let _ = self.call(arm);
        }
        self.seen.told.insert(running.id.clone(), OperationState::PxeReady);
        running.id
    }

    fn script(&self) -> String {
        let answer = self.http("GET", &format!("/ipxe/{}", self.mac.replace(':', "-")), "", "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    }

    /// Boots as firmware does: by the script, again where a download breaks. The token of the work, unless the kernel was
    /// served to a connection that broke.
    fn boot(&mut self, operation: &str) -> Option<String> {
        loop {
            let script = self.script();
            let word = |fits: &dyn Fn(&str) -> bool| script.split_whitespace().find(|word| fits(word));
            let token = word(&|word| word.starts_with("ironwake.operation="));
            let kernel = word(&|word| word.contains("/operations/") && word.ends_with("/vmlinuz"));
            let (Some(token), Some(kernel)) = (token, kernel) else {
                self.seen.lost += 1;
                return None;
            };
            let path = &kernel[kernel.find("/boot/v1").expect("a path")..];
            let token = token.trim_start_matches("ironwake.operation=").to_owned();
            let Some(answer) = self.http_once("GET", path, "", "") else { continue };
            if answer.status == 200 {
                *self.seen.served.entry(operation.to_owned()).or_default() += 1;
                return Some(token);
            }
        }
    }

    /// The operation got on, which the killer counts.
    fn step(&self) {
        // It may have gone already.
        let _ = self.world.steps.send(());
    }

    /// Reports until the daemon has taken it.
    fn report(&self, operation: &str, bearer: &str, report: Value) {
        let path = format!("/boot/v1/operations/{operation}/report");
        let answer = self.http("POST", &path, bearer, &report.to_string());
        assert!(answer.status < 300, "{report}: {}", answer.text());
        self.step();
    }

    /// One rebuild, from the arming to `ready`.
    fn rebuild(&mut self) {
        let operation = self.arm();
        self.step();
        let Some(token) = self.boot(&operation) else {
            // A conflict: it was cancelled, and that answer was lost.
            let _ = self.call(async |client| client.cancel(&operation).await);
            self.seen.told.insert(operation, OperationState::Cancelled);
            return;
        };
        self.step();
        let bearer = format!("authorization: Bearer {token}\r\n");
        let claim = json!({"machine": self.id, "boot_mac": self.mac});
        let answer = self.http("POST", "/boot/v1/operations/claim", &bearer, &claim.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.step();
        let claim: Claim = serde_json::from_slice(&answer.body).expect("a claim");
        let Work::Image(work) = claim.work else { panic!("not an image") };
        self.report(&operation, &bearer, json!({"report": "began"}));
        self.seen.told.insert(operation.clone(), OperationState::Installing);
        // A machine that restarts here gets its disk, not the installer.
        assert!(!self.script().contains("ironwake.operation="), "{operation} was offered a second time");
        let disk = json!({"name": "sda", "serial": format!("D{}", self.mac), "size_bytes": 1_u64 << 30});
        self.report(&operation, &bearer, json!({"report": "disks", "disks": [disk]}));
        self.report(&operation, &bearer, json!({"report": "done"}));
        self.seen.told.insert(operation.clone(), OperationState::Installed);
        assert!(!self.script().contains("ironwake.operation="), "{operation} was offered a second time");
        let home = work.files[0].content.trim().to_owned();
        let path = &home[home.find("/boot/v1").expect("a path")..];
        let answer = self.http("POST", path, "", &json!({"hostname": "node"}).to_string());
        assert_eq!(answer.status, 204, "{}", answer.text());
        self.seen.told.insert(operation.clone(), OperationState::Joining);
        self.seen.ready += 1;
        self.step();
        // Its last steps are the daemon's: the next operation can be made once they are done.
        let began = Instant::now();
        let ended = |operation: Operation| operation.state.has_ended();
        while !self.call(async |client| client.operation(&operation).await).is_ok_and(ended) {
            assert!(began.elapsed() < PATIENCE, "{operation} stays where it is");
        }
        self.seen.told.insert(operation, OperationState::Ready);
    }
}

fn live(number: u8, world: World<'_>) -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let operators = Client::new(world.socket);
    let (mac, place) = (mac(number), &world.places[usize::from(number) - 1]);
    let mut machine =
        Machine { world, operators, runtime, mac, place, id: String::new(), seen: Seen::default() };
    machine.enroll();
    while !machine.world.stop.load(Ordering::Relaxed) {
        machine.rebuild();
    }
    machine.seen
}

/// Numbers that look random and are the same each time (xorshift, Marsaglia 2003).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % u64::from(limit)) as u32
    }
}

/// Whether the table of `kind` leads from one state to the other, at once or through others.
fn is_legal(kind: OperationKind, from: OperationState, to: OperationState) -> bool {
    let paths = OperationState::ALL.into_iter().flat_map(|start| {
        Happening::ALL.into_iter().filter_map(move |what| Some((start, next(kind, start, what)?)))
    });
    paths.into_iter().any(|(start, states)| {
        std::iter::once(&start).chain(states).zip(states).any(|(a, b)| (*a, *b) == (from, to))
    })
}

fn judge(operations: &[Operation], seen: &[Seen]) {
    let by_id: BTreeMap<&str, &Operation> =
        operations.iter().map(|operation| (operation.id.as_str(), operation)).collect();
    for operation in operations {
        let mut state = OperationState::Registered;
        for event in &operation.history {
            assert_eq!(event.from, state, "{operation:?}");
            assert!(is_legal(operation.kind, event.from, event.to), "{operation:?}");
            state = event.to;
        }
        assert_eq!(state, operation.state, "{operation:?}");
        let begun = operation.history.iter().filter(|event| event.to == OperationState::Installing).count();
        assert!(begun <= 1, "installed twice: {operation:?}");
    }
    for (id, told) in seen.iter().flat_map(|seen| &seen.told) {
        let operation = by_id.get(id.as_str()).unwrap_or_else(|| panic!("{id} was acknowledged and is lost"));
        let states: BTreeSet<OperationState> = operation.history.iter().map(|event| event.to).collect();
        assert!(
            *told == OperationState::Registered || states.contains(told),
            "{told} is lost: {operation:?}"
        );
    }
    for (id, count) in seen.iter().flat_map(|seen| &seen.served) {
        assert_eq!(*count, 1, "the kernel of {id} was served so often");
    }
}

fn mac(number: u8) -> String {
    format!("52:54:00:00:99:{number:02x}")
}

fn kill_again_and_again(kills: u32) -> Result<(), LabError> {
    let name = LabName::unique();
    let site = Namespace::create(&name, "site")?;
    let bridge = site.bridge("br0", "10.77.0.1/16")?;
    let places = (1..=MACHINES).map(|number| {
        let place = Namespace::create(&name, &format!("machine{number}"))?;
        place.join("eth0", &format!("10.77.1.{number}/16"), &site, &bridge)?;
        place.ip(&format!("link set eth0 address {}", mac(number)))?;
        Ok(place)
    });
    let places = places.collect::<Result<Vec<Namespace>, LabError>>()?;
    let folder = tempfile::tempdir().expect("a folder");
    let profile = folder.path().join("profiles/small");
    std::fs::create_dir_all(&profile).expect("a folder");
    std::fs::write(profile.join("profile.toml"), PROFILE).expect("a profile");
    std::fs::write(profile.join("home.j2"), "{{ urls.phone_home }}\n").expect("a template");
    let socket = folder.path().join("api.sock");
    let config = folder.path().join("ironwake.toml");
    let text = format!(
        "state = {:?}\nsocket = {socket:?}\nprofiles = {:?}\n[http]\nlisten = {SERVER:?}\n\
         [[network]]\ninterface = \"br0\"\ndhcp = \"off\"\ntftp = false\n",
        folder.path().join("state"),
        folder.path().join("profiles"),
    );
    std::fs::write(&config, text).expect("a file");
    let image = folder.path().join("small.raw");
    std::fs::write(&image, vec![7; 64 << 10]).expect("a file");

    let binary = Path::new(env!("CARGO_BIN_EXE_ironwake"));
    // Said at once: the machines wait for a daemon that does not come, and it is their panic that ends the test.
    let start = || {
        Daemon::start(binary, &config, &site, folder.path())
            .inspect_err(|error| eprintln!("the daemon does not start: {error}"))
    };
    let mut daemon = start()?;
    let mut import = std::process::Command::new(binary);
    import.arg("--socket").arg(&socket).args(["artifact", "import", "small"]).arg(&image);
    lab::run(&mut import)?;

    let (up, stop) = (Up::default(), AtomicBool::new(false));
    let (sender, steps) = mpsc::channel();
    let mut chance = Chance(0x1dea_0f4b_ad1d_ea51);
    let seen = std::thread::scope(|scope| -> Result<Vec<Seen>, LabError> {
        let machines: Vec<_> = (1..=MACHINES)
            .map(|number| {
                let steps = sender.clone();
                let world = World { places: &places, socket: &socket, up: &up, stop: &stop, steps };
                scope.spawn(move || live(number, world))
            })
            .collect();
        for _ in 0..kills {
            for _ in 0..chance.below(STEPS_MAX) {
                // A machine that has stopped for good says why when it is joined.
                let _ = steps.recv_timeout(Duration::from_secs(1));
            }
            daemon.kill();
            daemon = start()?;
            while steps.try_recv().is_ok() {}
            up.again();
            if machines.iter().any(|machine| machine.is_finished()) {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        let seen = machines.into_iter().map(|machine| machine.join());
        Ok(seen.map(|seen| seen.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect())
    })?;
    daemon.kill();
    daemon = start()?;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let operations = runtime.block_on(every_operation(&Client::new(&socket))).expect("operations");
    judge(&operations, &seen);
    let (ready, lost) =
        seen.iter().fold((0, 0), |(ready, lost), seen| (ready + seen.ready, lost + seen.lost));
    println!("{kills} kills, {} operations: {ready} ready, {lost} lost their boot", operations.len());
    assert!(ready >= kills / 5, "only {ready} rebuilds were done: the kills leave nothing to see");
    assert!(daemon.ended().is_none());
    Ok(())
}

async fn every_operation(client: &Client) -> Result<Vec<Operation>, ClientError> {
    let mut operations = Vec::new();
    let mut query = OperationQuery { limit: Some(1000), ..OperationQuery::default() };
    loop {
        let page = client.operations(&query).await?;
        let Some(last) = page.last() else { return Ok(operations) };
        query.before = Some(last.id.clone());
        for operation in &page {
            operations.push(client.operation(&operation.id).await?);
        }
    }
}

#[test]
fn lab_killed_25_times_while_machines_are_rebuilt() -> Result<(), LabError> {
    kill_again_and_again(25)
}

#[test]
fn full_killed_200_times_while_machines_are_rebuilt() -> Result<(), LabError> {
    kill_again_and_again(200)
}
