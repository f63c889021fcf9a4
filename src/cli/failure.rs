//! Why a command ended without success, and what to do next.

use std::io::{self, Write};

use ironwake_api::Problem;
use ironwake_api::client::{ClientError, Place};

use super::output::clean;

/// How a command can fail; each has its exit code in `main.rs`.
#[derive(Debug)]
pub enum Failure {
    /// Nobody reads the output any more.
    BrokenPipe,
    /// The command failed.
    Failed {
        /// With its causes.
        error: anyhow::Error,
    },
    /// There is no such thing.
    NotFound {
        /// What the daemon said.
        problem: Problem,
    },
    /// The daemon refused.
    Refused {
        /// What the daemon said.
        problem: Problem,
    },
    /// The daemon is not reachable.
    NotReachable {
        /// Where it was looked for.
        place: Place,
        /// Why.
        error: io::Error,
    },
    /// What ran on a machine ended so.
    OfCommand {
        /// Its exit code.
        code: u8,
    },
    /// Ctrl-C ended the watching of something that goes on.
    Stopped {
        /// The command that shows how it goes on.
        again: String,
    },
    /// The daemon is to be started again.
    Again,
    /// Something was found wrong, and is printed already.
    Findings,
    /// The arguments are wrong; what is, and what would be right.
    Usage(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            _ => Self::Failed { error: error.into() },
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed { error }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NotReachable { place, source } => Self::NotReachable { place, error: source },
            ClientError::Refused(problem) if problem.status == 404 => Self::NotFound { problem },
            ClientError::Refused(problem) => Self::Refused { problem },
            ClientError::Protocol(_) => Self::Failed { error: error.into() },
        }
    }
}

impl Failure {
    /// Says on standard error what failed and what to do next.
    pub fn print(&self) {
        // Where standard error is closed too, the exit code is all that is left to say.
        let _ = io::stderr().lock().write_all(self.shown().as_bytes());
    }

    /// The text as a terminal may show it: the daemon's words repeat what machines said of themselves.
    fn shown(&self) -> String {
        self.text().split('\n').map(clean).collect::<Vec<_>>().join("\n")
    }

    fn text(&self) -> String {
        match self {
            Self::BrokenPipe | Self::OfCommand { .. } | Self::Findings | Self::Again => String::new(),
            Self::Stopped { again } => {
                format!("watching was stopped, and what was begun goes on\n  next: `{again}` shows it\n")
            }
            Self::Usage(why) => format!("error: {why}\n"),
            Self::Failed { error } => {
                let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
                format!("error: {}\n", causes.join(": "))
            }
            Self::NotFound { problem } => {
                let list = LISTS.iter().find(|(code, _)| problem.kind.ends_with(code));
                let list = list.map_or("machine list", |(_, list)| list);
                format!("error: {}\n  next: `ironwake {list}` shows what there is\n", problem.detail)
            }
            Self::Refused { problem } => refused(problem),
            Self::NotReachable { place: Place::Socket(socket), error } => {
                format!("error: {}\n  next: {}\n", not_reachable(socket, error), next_step(error))
            }
            Self::NotReachable { place: Place::Url(url), error } => {
                format!("error: connect to {url}: {error}\n  next: {}\n", next_step_remote(error))
            }
        }
    }
}

/// Which command lists what was not found, by the code of the problem; machines for all others.
const LISTS: &[(&str, &str)] = &[
    (":no_such_artifact", "artifact list"),
    (":no_such_operation", "operation list"),
    (":no_such_profile", "profile list"),
    (":no_such_token", "token list"),
    (":no_such_ssh_key", "key list"),
    (":no_such_unit", "system show"),
];

fn refused(problem: &Problem) -> String {
    let mut text = format!("error: {}\n", problem.detail);
    for field in &problem.errors {
        text.push_str(&format!("  {}: {}\n", field.field, field.message));
    }
    if let Some((_, next)) = NEXT_STEPS.iter().find(|(code, _)| problem.kind.ends_with(code)) {
        text.push_str(&format!("  next: {next}\n"));
    }
    text
}

fn not_reachable(socket: &std::path::Path, error: &io::Error) -> String {
    let socket = socket.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("the daemon is not running: there is no socket {socket}"),
        io::ErrorKind::ConnectionRefused => format!("the daemon is not running: nothing listens on {socket}"),
        io::ErrorKind::PermissionDenied => format!("the socket {socket} may not be opened"),
        _ => format!("connect to {socket}: {error}"),
    }
}

/// What to do when something is refused, by the code of the problem.
const NEXT_STEPS: &[(&str, &str)] = &[
    (":forbidden", JOIN_GROUP),
    (
        ":locked",
        "log in with the administrator's password: at the console, or over SSH by `ssh -o PubkeyAuthentication=no`",
    ),
    (":session_ended", "log in again"),
];

const JOIN_GROUP: &str = "join the group: `sudo usermod -aG ironwake $USER`, then log in again; or use sudo";

fn next_step(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => JOIN_GROUP,
        _ => {
            "start it: `systemctl start ironwake`, or `ironwake serve --config FILE`; \
             a socket elsewhere is named by --socket or IRONWAKE_SOCKET"
        }
    }
}

fn next_step_remote(error: &io::Error) -> &'static str {
    match error.kind() {
        // What rustls says of a certificate.
        io::ErrorKind::InvalidData => {
            "give --ca the authority of the daemon's certificate: `ironwake ca show` on its host prints it; the name \
             in the URL must be one that the certificate has (`names` of [api])"
        }
        _ => "look whether the API is on there: [api] listen, and `ironwake health` on that host",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_machines_say_of_themselves_steers_no_terminal() {
        let problem = Problem::new(409, "Conflict", "conflict", "machine \u{1b}]0;x\u{7} is unknown");
        let shown = Failure::Refused { problem }.shown();
        assert_eq!(shown, "error: machine \u{fffd}]0;x\u{fffd} is unknown\n");
    }

    fn check(error: ClientError, expected: &str) {
        let text = Failure::from(error).text();
        assert!(text.contains(expected), "{text}");
    }

    fn not_reachable(kind: io::ErrorKind) -> ClientError {
        ClientError::NotReachable { place: Place::Socket("/run/x.sock".into()), source: kind.into() }
    }

    fn problem(status: u16) -> ClientError {
        problem_of("x", status)
    }

    fn problem_of(code: &str, status: u16) -> ClientError {
        ClientError::Refused(Problem {
            kind: format!("urn:ironwake:problem:{code}"),
            title: "x".into(),
            status,
            detail: "no machine \"a\"".into(),
            errors: vec![ironwake_api::FieldProblem { field: "macs[0]".into(), message: "wrong".into() }],
        })
    }

    #[test]
    fn every_failure_tells_the_next_step() {
        check(not_reachable(io::ErrorKind::NotFound), "systemctl start ironwake");
        check(not_reachable(io::ErrorKind::ConnectionRefused), "nothing listens on /run/x.sock");
        check(not_reachable(io::ErrorKind::PermissionDenied), "usermod -aG ironwake");
        check(problem(404), "`ironwake machine list`");
        check(problem_of("no_such_artifact", 404), "`ironwake artifact list`");
        check(problem(422), "  macs[0]: wrong\n");
        check(problem_of("forbidden", 403), "usermod -aG ironwake");
        check(problem_of("locked", 401), "administrator's password");
        check(problem_of("no_such_token", 404), "`ironwake token list`");
        let remote = |kind: io::ErrorKind| ClientError::NotReachable {
            place: Place::Url("https://a:8443".into()),
            source: kind.into(),
        };
        check(remote(io::ErrorKind::InvalidData), "`ironwake ca show`");
        check(remote(io::ErrorKind::ConnectionRefused), "[api] listen");
    }
}
