//! As many TFTP transfers as the server takes, all of them in flight at once, on loopback.

mod served;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ironwake::serve::tftp::{Limits, TRANSFERS_MAX, bind, run_limited};
use ironwake::tftp::{ErrorCode, Mode, Options, Packet, Request};
use ironwake_api::StageKind;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use served::{Folder, MAC, Observed, PATIENCE, backend, noise};
use tokio::net::UdpSocket;
use tokio::sync::{Barrier, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const HTTP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 8080);
const FILE: &str = "loader.efi";
const FILE_BYTES: usize = 50_000;
const BLOCK_BYTES: u16 = 1468;
/// Clients of one address, fewer than one address may have.
const CLIENTS_OF_ADDRESS: usize = 250;
/// The server waits six times so long before it gives a client up: a loaded host starts everybody in that time.
const TIMEOUT_SECS: u8 = 20;
/// When a client asks again for what did not come.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// How long it may take until all are in flight, on a loaded host: less than the server has patience.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// The address of the one too many; the only one whose machine is known, so that its stages alone are recorded.
const ONE_MORE: Ipv4Addr = Ipv4Addr::new(127, 2, 0, 1);
/// Descriptors beside the two sockets of each transfer.
const DESCRIPTORS_MORE: u64 = 256;

/// The server on a thread and a runtime of its own, as the daemon runs it.
struct Server {
    address: SocketAddrV4,
    observed: Observed,
    shutdown: CancellationToken,
    thread: JoinHandle<()>,
}

impl Server {
    async fn start(content: &[u8]) -> Self {
        let (backend, observed) = backend(Folder::default().with(FILE, content.to_vec()), None).await;
        backend.site.learn_address(MAC, ONE_MORE);
        let shutdown = CancellationToken::new();
        let (ready, address) = std::sync::mpsc::channel();
        let token = shutdown.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let socket = bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0), None).expect("a port");
                let port = socket.local_addr().expect("an address").port();
                ready.send(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).expect("the test runs");
                // Who finds no room hears so at its first request.
                let limits = Limits { wait_max: Duration::ZERO, ..Limits::default() };
                run_limited(socket, backend, HTTP, token, limits).await.expect("served");
            });
        });
        let address = address.recv().expect("the server starts");
        Self { address, observed, shutdown, thread }
    }
}

/// What every client of the crowd shares.
struct Crowd {
    server: SocketAddrV4,
    content: Vec<u8>,
    /// How many have their first block.
    first_blocks_came: watch::Sender<usize>,
    /// How many have the whole file.
    files_came: watch::Sender<usize>,
    /// Where all wait until each has its first block.
    first_blocks: Barrier,
    /// Nobody leaves before all are served: an acknowledgement may be lost, and is asked for again.
    served: CancellationToken,
}

/// One client, as far as it is.
struct Client<'a> {
    crowd: &'a Crowd,
    socket: UdpSocket,
    window: u64,
    /// The last block that came in order.
    block: u64,
    /// The last block that was acknowledged.
    acked: u64,
}

fn request(window: u64) -> Vec<u8> {
    let options = Options {
        blksize: Some(BLOCK_BYTES),
        tsize: Some(0),
        timeout_secs: Some(TIMEOUT_SECS),
        windowsize: Some(window as u16),
    };
    Packet::Read(Request { file: FILE, mode: Mode::Octet, options }).encode()
}

impl Client<'_> {
    fn blocks(&self) -> u64 {
        (self.crowd.content.len() / usize::from(BLOCK_BYTES) + 1) as u64
    }

    /// Asks until the server agrees to the options, and connects to the transfer's port.
    async fn ask(&mut self) {
        let mut buffer = [0; 2048];
        let (from, length) = loop {
            self.socket.send_to(&request(self.window), self.crowd.server).await.expect("send");
            if let Ok(received) = timeout(ASK_AGAIN, self.socket.recv_from(&mut buffer)).await {
                let (length, from) = received.expect("receive");
                break (from, length);
            }
        };
        let Ok(Packet::Oack(agreed)) = Packet::parse(&buffer[..length]) else {
            panic!("{:?} is no OACK", Packet::parse(&buffer[..length]))
        };
        let size = Some(self.crowd.content.len() as u64);
        assert_eq!((agreed.blksize, agreed.tsize), (Some(BLOCK_BYTES), size));
        assert_eq!(agreed.windowsize.map(u64::from), Some(self.window));
        self.socket.connect(from).await.expect("connect");
    }

    async fn acknowledge(&mut self) {
        self.acked = self.block;
        self.socket.send(&Packet::Ack(self.block as u16).encode()).await.expect("send");
    }

    /// Receives until the next block has come, and compares it.
    async fn next_block(&mut self) {
        let mut buffer = [0; 2048];
        let block = self.block + 1;
        loop {
            let received = match timeout(ASK_AGAIN, self.socket.recv(&mut buffer)).await {
                Ok(received) => &buffer[..received.expect("receive")],
                Err(_) => {
                    self.acknowledge().await;
                    continue;
                }
            };
            match Packet::parse(received) {
                Ok(Packet::Data { block: number, data }) if u64::from(number) == block => {
                    let from = (block - 1) as usize * usize::from(BLOCK_BYTES);
                    let until = self.crowd.content.len().min(from + usize::from(BLOCK_BYTES));
                    assert!(data == &self.crowd.content[from..until], "block {block} is not the file's");
                    self.block = block;
                    return;
                }
                // Resent while all waited.
                Ok(Packet::Data { .. } | Packet::Oack(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn fetch(&mut self) {
        self.ask().await;
        self.acknowledge().await;
        self.next_block().await;
        self.crowd.first_blocks_came.send_modify(|came| *came += 1);
        self.crowd.first_blocks.wait().await;
        while self.block < self.blocks() {
            if self.block == self.acked + self.window {
                self.acknowledge().await;
            }
            self.next_block().await;
        }
        self.acknowledge().await;
        self.crowd.files_came.send_modify(|came| *came += 1);
    }

    async fn stay(&mut self) {
        let mut buffer = [0; 2048];
        let served = self.crowd.served.clone();
        while let Some(received) = served.run_until_cancelled(self.socket.recv(&mut buffer)).await {
            // The server closes its port at the end.
            if received.is_ok() {
                self.acknowledge().await;
            }
        }
    }
}

async fn client(crowd: &Crowd, number: usize) {
    let address = 0x7f01_0001 + (number / CLIENTS_OF_ADDRESS) as u32;
    let socket = UdpSocket::bind((Ipv4Addr::from_bits(address), 0)).await.expect("a port of loopback");
    let window = 1 + number as u64 % 8;
    let mut client = Client { crowd, socket, window, block: 0, acked: 0 };
    client.fetch().await;
    client.stay().await;
}

fn raise_descriptors(wanted: u64) {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    assert!(hard >= wanted, "this test opens {wanted} descriptors and may open {hard}: raise `ulimit -Hn`");
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(wanted), hard).expect("raised");
}

/// This process's own memory in kB.
fn anonymous_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Sends a request from an address of its own and takes the answer.
async fn ask_once(server: SocketAddrV4) -> (UdpSocket, SocketAddr, Vec<u8>) {
    let socket = UdpSocket::bind((ONE_MORE, 0)).await.expect("a port of loopback");
    socket.send_to(&request(1), server).await.expect("send");
    let mut buffer = vec![0; 2048];
    let received = timeout(PATIENCE, socket.recv_from(&mut buffer)).await.expect("an answer in time");
    let (length, from) = received.expect("receive");
    buffer.truncate(length);
    (socket, from, buffer)
}

/// Waits until every client has come so far.
async fn all(came: &watch::Sender<usize>, patience: Duration) {
    let mut came = came.subscribe();
    let all = came.wait_for(|came| *came == TRANSFERS_MAX);
    timeout(patience, all).await.expect("all of them in time").expect("clients run");
}

/// Returns when a client failed, with its panic; the others would wait for it for ever.
async fn failed(clients: &mut JoinSet<()>) {
    while let Some(client) = clients.join_next().await {
        client.expect("every client gets its file");
    }
    std::future::pending().await
}

/// Asks until there is room: the tasks of transfers that are recorded take a moment to end.
async fn there_is_room_again(server: SocketAddrV4) {
    let asking = async {
        loop {
            let (socket, transfer, answer) = ask_once(server).await;
            match Packet::parse(&answer) {
                Ok(Packet::Oack(_)) => {
                    let goodbye = Packet::error(ErrorCode::OptionsRefused, "that is all").encode();
                    socket.send_to(&goodbye, transfer).await.expect("send");
                    return;
                }
                Ok(Packet::Error { .. }) => tokio::task::yield_now().await,
                other => panic!("{other:?}"),
            }
        }
    };
    timeout(PATIENCE, asking).await.expect("room once all have ended");
}

fn aborted(kind: StageKind) -> Option<String> {
    let StageKind::Tftp { file, aborted, .. } = kind else { panic!("{kind:?}") };
    assert_eq!(file, FILE);
    aborted
}

#[tokio::test]
async fn thousands_at_once_all_get_the_exact_bytes_and_one_more_hears_why_not() {
    raise_descriptors(2 * TRANSFERS_MAX as u64 + DESCRIPTORS_MORE);
    let content = noise(FILE_BYTES);
    let mut server = Server::start(&content).await;
    let start = Instant::now();
    let crowd = Arc::new(Crowd {
        server: server.address,
        content,
        first_blocks_came: watch::Sender::new(0),
        files_came: watch::Sender::new(0),
        first_blocks: Barrier::new(TRANSFERS_MAX + 1),
        served: CancellationToken::new(),
    });
    let mut clients = JoinSet::new();
    for number in 0..TRANSFERS_MAX {
        let crowd = crowd.clone();
        clients.spawn(async move { client(&crowd, number).await });
    }
    // The clients have their memory and have not run: what comes is the server's, and the sockets'.
    let before = anonymous_kilobytes();
    // The test itself is the last at the barrier: nobody goes on until the one too many was refused.
    let one_more = async {
        all(&crowd.first_blocks_came, START_PATIENCE).await;
        eprintln!("{TRANSFERS_MAX} in flight after {:?}", start.elapsed());
        eprintln!("RssAnon: {before} kB with the clients, {} kB in flight", anonymous_kilobytes());
        let (_, _, answer) = ask_once(server.address).await;
        let Ok(Packet::Error { code: 0, message }) = Packet::parse(&answer) else { panic!("{answer:?}") };
        let reason = "4096 transfers run, as many as the server takes at once";
        assert_eq!(message, reason);
        assert_eq!(aborted(server.observed.next().await.kind).as_deref(), Some(reason));
        let released = Instant::now();
        crowd.first_blocks.wait().await;
        all(&crowd.files_came, PATIENCE).await;
        let rate = (TRANSFERS_MAX * FILE_BYTES) as f64 / 1e6 / released.elapsed().as_secs_f64();
        eprintln!("all served after {:?}, {rate:.0} MB/s", released.elapsed());
        crowd.served.cancel();
        there_is_room_again(server.address).await;
    };
    tokio::select! {
        () = one_more => {}
        () = failed(&mut clients) => {}
    }
    while let Some(client) = clients.join_next().await {
        client.expect("every client got its file");
    }
    server.shutdown.cancel();
    server.thread.join().expect("the server ends");
}
