//! `./dev console-demo`: a throw-away daemon with a simulated fleet, and the console on it. The daemon and its routes are the real ones: machines
//! enrol, boot, are written and call home as machines do, each from an address of loopback, and operators use the API. Neither
//! root nor a network is needed, so there is no DHCP: addresses are not leased.
//!
//! Exit codes: 0 the console was left, 1 something failed, 2 wrong arguments.

// The lab's processes end with their parent; the rest of it is for machines of QEMU.
#[path = "../../tests/lab/mod.rs"]
mod lab;

mod builder;
mod fleet;
mod hardware;
mod life;
mod machine;
mod wire;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use ironwake_api::client::Client;
use ironwake_api::{ArtifactState, ImportQuery};
use lab::Process;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use life::World;
use machine::Machine;

/// Machines that are brought to their parts at a time.
const SETTLING: usize = 32;
/// The daemon builds its discovery image first.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// How often it is looked whether a daemon that says nothing has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Unknown machines that come as time goes on.
const NEWCOMERS: u32 = 200;
/// How often one comes.
const NEWCOMER_EVERY: Duration = Duration::from_secs(12);

const HOME: &str = "{{ urls.phone_home }}\n";

/// Fills a throw-away daemon with a simulated fleet and opens the console on it.
#[derive(Debug, Parser)]
#[command(name = "console-demo")]
struct Arguments {
    /// How many machines there are.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    machines: u32,
    /// Do not open the console: print where the daemon is asked, and go on until a signal comes.
    #[arg(long)]
    serve: bool,
    /// Where the daemon keeps everything; a folder that goes with it unless given.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// The daemon.
    #[arg(long, env = "IRONWAKE_BIN", default_value = "target/release/ironwake")]
    ironwake: PathBuf,
    /// The console; the one beside the daemon unless given.
    #[arg(long)]
    console: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = runtime.context("start the runtime").and_then(|runtime| {
        let ended = runtime.block_on(run(arguments));
        runtime.shutdown_background();
        ended
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("console-demo: {}", life::told(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    let temporary = match &arguments.folder {
        Some(folder) => {
            fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
            None
        }
        None => Some(tempfile::Builder::new().prefix("ironwake-demo-").tempdir().context("make a folder")?),
    };
    let given = arguments.folder.as_deref();
    let folder = temporary.as_ref().map(|made| made.path()).or(given).context("a folder")?.to_owned();
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let socket = folder.join("api.sock");
    // Dropped in the reverse order: the daemon ends before its folder goes.
    let daemon = start(&arguments.ironwake, &folder, server)?;
    let world = World { operators: Client::new(&socket) };
    let interrupted = tokio::signal::ctrl_c();
    let ended = tokio::select! {
        ended = demo(&arguments, &world, server, &socket) => ended,
        _ = interrupted => Ok(()),
    };
    drop(daemon);
    ended
}

async fn demo(arguments: &Arguments, world: &World, server: SocketAddr, socket: &Path) -> Result<()> {
    let began = Instant::now();
    prepare(world).await?;
    let mut lives = JoinSet::new();
    settle(arguments.machines, world, server, &mut lives).await?;
    eprintln!("{} machines are there after {} s", arguments.machines, began.elapsed().as_secs());
    let (operators, newcomers) = (world.operators.clone(), world.clone());
    lives.spawn(builder::run(operators));
    lives.spawn(come(newcomers, arguments.machines, server));
    // What goes wrong with one machine is no reason to end: an operator may do anything with it.
    let living = async {
        while let Some(ended) = lives.join_next().await {
            if let Ok(Err(error)) = ended
                && arguments.serve
            {
                eprintln!("{}", life::told(&error));
            }
        }
        std::future::pending::<()>().await;
    };
    if arguments.serve {
        println!("{}", socket.display());
        living.await;
        return Ok(());
    }
    let beside = arguments.ironwake.with_file_name("ironwake-console");
    let program = arguments.console.as_ref().unwrap_or(&beside);
    let console = Command::new(program).arg("--socket").arg(socket).spawn();
    let mut console = console.with_context(|| format!("start {}", program.display()))?;
    // It has the terminal, Ctrl-C included.
    let left = tokio::task::spawn_blocking(move || console.wait());
    let status = tokio::select! {
        status = left => status??,
        () = living => return Ok(()),
    };
    if status.success() { Ok(()) } else { bail!("the console ended with {status}") }
}

/// Starts the daemon and waits until it serves.
fn start(program: &Path, folder: &Path, server: SocketAddr) -> Result<Process> {
    for (name, more) in [(life::PROFILE, ""), (life::CALLING_PROFILE, "heartbeat = \"1m\"\n")] {
        let profile = folder.join("profiles").join(name);
        fs::create_dir_all(&profile)?;
        let text = format!(
            "name = {name:?}\nversion = \"1\"\nsummary = \"A simulated Debian that calls home\"\nkind = \"image\"\n\
             architectures = [\"amd64\"]\nfirmware = [\"bios\", \"uefi\"]\n{more}\n[image]\nartifact = \"debian-13\"\n\n\
             [[file]]\ntemplate = \"home.j2\"\npartition = \"root\"\npath = \"/home\"\n"
        );
        fs::write(profile.join("profile.toml"), text)?;
        fs::write(profile.join("home.j2"), HOME)?;
    }
    let config = folder.join("ironwake.toml");
    let text = format!(
        "state = {:?}\nsocket = {:?}\nprofiles = {:?}\n[http]\nlisten = \"{server}\"\n[[network]]\n\
         interface = \"lo\"\ndhcp = \"off\"\ntftp = false\n",
        folder.join("state"),
        folder.join("api.sock"),
        folder.join("profiles"),
    );
    fs::write(&config, text)?;
    let notify = folder.join("notify");
    let ready = UnixDatagram::bind(&notify).with_context(|| format!("bind {}", notify.display()))?;
    ready.set_read_timeout(Some(LOOK_EVERY))?;
    let mut command = Command::new(program);
    command.args(["serve", "--config"]).arg(&config).env("NOTIFY_SOCKET", &notify);
    command.env_remove("JOURNAL_STREAM").env("NO_COLOR", "1");
    let mut daemon = Process::start("ironwake serve", command, &folder.join("log"))?;
    let began = Instant::now();
    let mut message = [0; 4096];
    loop {
        let length = ready.recv(&mut message).unwrap_or(0);
        if message[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
            return Ok(daemon);
        }
        if daemon.ended().is_some() || began.elapsed() > READY_WITHIN {
            bail!("the daemon did not start: {}", daemon.log_tail(5));
        }
    }
}

/// Waits for the discovery image, which all that is armed boots, and brings the image that is written.
async fn prepare(world: &World) -> Result<()> {
    // Followed before it is looked, so that nothing happens in between.
    let mut events = world.operators.follow(None, None);
    events.connect().await?;
    loop {
        let artifacts = world.operators.artifacts().await?;
        let built = artifacts.iter().find(|artifact| artifact.name == "discovery/initramfs");
        match built.map(|artifact| artifact.state) {
            Some(ArtifactState::Done) => break,
            Some(ArtifactState::Failed) => {
                let why = built.and_then(|artifact| artifact.error.clone()).unwrap_or_default();
                bail!(
                    "the discovery image cannot be built: {why}; IRONWAKE_BOOT names the folder of boot files"
                );
            }
            _ => {
                let event = timeout(READY_WITHIN, events.next()).await;
                event
                    .with_context(|| format!("the discovery image is not built within {READY_WITHIN:?}"))??;
            }
        }
    }
    let image = vec![7; 1 << 20];
    let size = Some(image.len() as u64);
    let image = std::io::Cursor::new(image);
    world.operators.import("debian-13", image, size, ImportQuery::default(), |_| {}).await?;
    Ok(())
}

/// Brings every machine to where its part begins, and lets those that go on do so.
async fn settle(
    count: u32,
    world: &World,
    server: SocketAddr,
    lives: &mut JoinSet<Result<()>>,
) -> Result<()> {
    let places = Arc::new(Semaphore::new(SETTLING));
    let mut settling = JoinSet::new();
    for number in 0..count {
        let place = places.clone().acquire_owned().await?;
        let (world, part) = (world.clone(), fleet::part(number));
        let mut machine = Machine::new(number, fleet::name(number), server);
        settling.spawn(async move {
            let _place = place;
            let taken = world.settle(&mut machine, part).await?;
            Ok::<_, anyhow::Error>((machine, part, taken))
        });
    }
    while let Some(settled) = settling.join_next().await {
        let (machine, part, taken) = settled??;
        let world = world.clone();
        lives.spawn(async move { world.go_on(machine, part, taken).await });
    }
    Ok(())
}

/// Lets machines come that nobody has seen.
async fn come(world: World, first: u32, server: SocketAddr) -> Result<()> {
    let mut beat = interval(NEWCOMER_EVERY);
    for number in first..first + NEWCOMERS {
        beat.tick().await;
        let mut machine = Machine::new(number, fleet::name(number), server);
        world.settle(&mut machine, fleet::Part::Unknown).await?;
    }
    Ok(())
}
