//! Networks: namespaces, bridges, taps and the cables between them.

use std::fs::File;
use std::process::Command;

use nix::sched::{CloneFlags, setns};

use super::cleanup;
use super::error::LabError;
use super::names::LabName;
use super::process::run;

/// A network namespace. Its interfaces need no unique names: nobody else sees them.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

/// A bridge in a namespace.
#[derive(Debug, Clone)]
pub struct Bridge {
    /// Its interface.
    pub interface: String,
}

impl Namespace {
    /// Makes the namespace of a lab's `role`, with its loopback up.
    pub fn create(lab: &LabName, role: &str) -> Result<Self, LabError> {
        let name = lab.of(role);
        cleanup::add_namespace(&name);
        let namespace = Self { name };
        run(Command::new("ip").args(["netns", "add", &namespace.name]))?;
        namespace.ip("link set lo up")?;
        // Router solicitations and neighbour discovery of the bridge itself would only blur captures.
        namespace.set("net/ipv6/conf/default/disable_ipv6", "1")?;
        Ok(namespace)
    }

    /// Sets a kernel parameter of this namespace, by its path below `/proc/sys`.
    pub fn set(&self, parameter: &str, value: &str) -> Result<(), LabError> {
        let path = format!("/proc/sys/{parameter}");
        self.enter(|| std::fs::write(&path, value))?.map_err(LabError::io(format!("write {path}")))
    }

    /// Its name for `ip netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` with these words inside.
    pub fn ip(&self, words: &str) -> Result<String, LabError> {
        run(Command::new("ip").args(["-n", &self.name]).args(words.split_whitespace()))
    }

    /// A command that runs inside; `/sys` shows this namespace's interfaces to it.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        // `ip netns exec` does not fork: the child's process number is the program's.
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs a command line (words split at spaces) inside, to its end, and returns what it printed.
    pub fn run(&self, line: &str) -> Result<String, LabError> {
        let mut words = line.split_whitespace();
        run(self.command(words.next().unwrap_or("true")).args(words))
    }

    /// Calls `work` on a thread inside: sockets opened there belong to this namespace.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        let path = format!("/run/netns/{}", self.name);
        let namespace = File::open(&path).map_err(LabError::io(format!("open {path}")))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                setns(&namespace, CloneFlags::CLONE_NEWNET)
                    .map_err(|error| LabError::io(format!("enter {path}"))(error.into()))?;
                Ok(work())
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Makes a bridge with an address such as `10.77.0.1/16`.
    pub fn bridge(&self, interface: &str, address: &str) -> Result<Bridge, LabError> {
        // No forwarding delay: a machine's first DISCOVER comes within a second of its link.
        self.ip(&format!("link add {interface} type bridge forward_delay 0 mcast_snooping 0"))?;
        self.ip(&format!("addr add {address} dev {interface}"))?;
        self.ip(&format!("link set {interface} up"))?;
        Ok(Bridge { interface: interface.to_owned() })
    }

    /// Makes a tap on a bridge, for a machine's NIC.
    pub fn tap(&self, interface: &str, bridge: &Bridge) -> Result<(), LabError> {
        self.ip(&format!("tuntap add dev {interface} mode tap"))?;
        self.ip(&format!("link set {interface} master {} up", bridge.interface))?;
        Ok(())
    }

    /// Removes a tap.
    pub fn remove_tap(&self, interface: &str) -> Result<(), LabError> {
        self.ip(&format!("link del {interface}")).map(drop)
    }

    /// Lays a cable from `interface` in `self` to a port of `bridge` in `other`; `address` goes on this end.
    pub fn join(
        &self,
        interface: &str,
        address: &str,
        other: &Self,
        bridge: &Bridge,
    ) -> Result<(), LabError> {
        let port = format!("v{}", self.name.rsplit('-').next().unwrap_or("peer"));
        let port = &port[..port.len().min(15)];
        self.ip(&format!("link add {interface} type veth peer name {port} netns {}", other.name))?;
        other.ip(&format!("link set {port} master {} up", bridge.interface))?;
        if !address.is_empty() {
            self.ip(&format!("addr add {address} dev {interface}"))?;
        }
        self.ip(&format!("link set {interface} up"))?;
        Ok(())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        cleanup::remove_namespace(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::super::http;
    use super::*;

    #[test]
    fn a_client_reaches_the_site_and_nothing_stays() {
        let lab = LabName::unique();
        let path = std::path::PathBuf::from(format!("/run/netns/{}", lab.of("site")));
        let site = Namespace::create(&lab, "site").expect("a namespace");
        assert!(path.exists());
        let bridge = site.bridge("br0", "10.77.0.1/24").expect("a bridge");
        site.tap("m1n0", &bridge).expect("a tap");
        let client = Namespace::create(&lab, "client").expect("a namespace");
        client.join("eth0", "10.77.0.9/24", &site, &bridge).expect("a cable");
        let listener =
            site.enter(|| TcpListener::bind("10.77.0.1:8080")).expect("inside").expect("a listener");
        let server = std::thread::spawn(move || {
            let (mut stream, from) = listener.accept().expect("a client");
            let mut request = [0; 256];
            let length = stream.read(&mut request).expect("a request");
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").expect("an answer");
            (String::from_utf8_lossy(&request[..length]).into_owned(), from.ip().to_string())
        });
        let response =
            http::request(&client, ([10, 77, 0, 1], 8080).into(), "GET", "/x", "", "").expect("an answer");
        assert_eq!((response.status, response.text()), (200, "hello".into()));
        let (request, from) = server.join().expect("the server");
        assert!(request.starts_with("GET /x HTTP/1.1\r\n"), "{request}");
        assert_eq!(from, "10.77.0.9");
        drop((site, client));
        assert!(!path.exists());
    }

    #[test]
    fn what_a_dead_lab_left_is_removed() {
        // No process has this start time: its owner is gone.
        let name = format!("iwlab-{}.1-0-site", std::process::id());
        run(Command::new("ip").args(["netns", "add", &name])).expect("a namespace");
        let folder = std::env::temp_dir().join(format!("iwlab-{}.1-0", std::process::id()));
        std::fs::create_dir_all(folder.join("state")).expect("a folder");
        cleanup::remove_stale();
        assert!(!std::path::Path::new("/run/netns").join(&name).exists());
        assert!(!folder.exists());
    }
}
