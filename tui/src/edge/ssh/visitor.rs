//! What a client asks for, and what it gets: a login that the daemon grants, one terminal with a console or one command, and
//! nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use ironwake_api::client::{Client as Daemon, ClientError, Place as Where};
use ironwake_api::{LoginRequest, LoginWith, Secret, Whoami};
use russh::keys::{HashAlg, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Pty};
use tokio::sync::{oneshot, watch};
use tracing::{error, info, warn};

use super::command::{self, Asked, LINE_BYTES_MAX};
use super::connection::Stage;
use super::copy_id::{self, Wanted};
use super::door::Place;
use super::screen::{self, Client};
use super::session::{self, Opened};
use super::{Shared, methods};
use crate::edge::log_out;

/// Exit code of what was done.
const DONE: u32 = 0;
/// Exit code of what is not served, as of wrong arguments.
const REFUSED: u32 = 2;
/// Standard error (RFC 4254, 5.2).
const STDERR: u32 = 1;
/// Passwords that one connection may try, as many as OpenSSH's client asks for.
const PASSWORDS_MAX: usize = 3;
/// What of a user's name is logged.
const NAME_CHARS_MAX: usize = 64;

/// One client.
pub(super) struct Visitor {
    from: SocketAddr,
    /// Until a console is shown.
    place: Option<Place>,
    shared: Arc<Shared>,
    stage: watch::Sender<Stage>,
    stop: watch::Receiver<bool>,
    /// The only one that is opened, until a console takes it.
    channel: Option<Channel<Msg>>,
    opened: bool,
    terminal: Option<Client>,
    client: Client,
    /// The daemon, in the session of who has logged in.
    daemon: Daemon,
    token: Option<String>,
    /// The key that let it in.
    key: Option<String>,
    /// Whether a one-time password was shown: the daemon lets keys be added, and nothing else.
    keys_only: bool,
    /// Passwords that were wrong.
    passwords_wrong: usize,
    /// Dropped with the connection.
    here: Option<oneshot::Sender<()>>,
}

impl Visitor {
    pub(super) fn new(
        from: SocketAddr,
        place: Place,
        shared: Arc<Shared>,
        stage: watch::Sender<Stage>,
        stop: watch::Receiver<bool>,
        daemon: Daemon,
    ) -> Self {
        Self {
            from,
            place: Some(place),
            shared,
            stage,
            stop,
            channel: None,
            opened: false,
            terminal: None,
            client: Client::default(),
            daemon,
            token: None,
            key: None,
            keys_only: false,
            passwords_wrong: 0,
            here: None,
        }
    }

    /// Whether the daemon lists a key. What is refused is logged.
    async fn lists(&mut self, user: &str, key: &PublicKey) -> bool {
        let listed = match line_of(key) {
            Some(line) => self.daemon.key_is_listed(&line).await,
            None => Ok(false),
        };
        let (from, user) = (self.from, named(user));
        let (fingerprint, kind) = (key.fingerprint(HashAlg::Sha256), key.algorithm());
        match listed {
            Ok(true) => return true,
            Ok(false) => {
                info!("{from} is refused as {user} with the key {fingerprint} ({kind}): it is not listed");
            }
            Err(error) => {
                info!("{from} is refused as {user} with the key {fingerprint} ({kind}): {error}");
            }
        }
        false
    }

    /// Has the daemon begin a session. What is refused is logged; `with` is what was shown, without what is secret.
    async fn log_in(&mut self, user: &str, with: &str, request: LoginRequest) -> Auth {
        let request = LoginRequest {
            user: Some(user.chars().take(NAME_CHARS_MAX).collect()),
            from: Some(self.from.ip().to_string()),
            ..request
        };
        let (from, user) = (self.from, named(user));
        match self.daemon.log_in(&request).await {
            Ok(begun) => {
                self.shared.door.succeeded(from.ip(), Instant::now());
                let name = named(&begun.name);
                info!("{from} has logged in as {user} with {with}: {name}, scope {}", begun.scope);
                self.token = Some(begun.token);
                self.key = request.key;
                self.keys_only = begun.with == LoginWith::OneTimePassword;
                self.stage.send_replace(Stage::LoggedIn);
                Auth::Accept
            }
            Err(error @ ClientError::Refused(_)) => {
                info!("{from} is refused as {user} with {with}: {error}");
                Auth::reject()
            }
            Err(error) => {
                warn!("{from} cannot log in as {user} with {with}: {error}");
                Auth::reject()
            }
        }
    }

    /// Says why there is nothing, and ends the channel.
    fn refuse(&mut self, channel: ChannelId, session: &mut Session, why: &str) -> Result<(), russh::Error> {
        session.channel_success(channel)?;
        session.extended_data(channel, STDERR, format!("{why}\r\n").into_bytes())?;
        self.end(channel, session, REFUSED)
    }

    /// Ends the channel with an exit code, and the session with it.
    fn end(&mut self, channel: ChannelId, session: &mut Session, code: u32) -> Result<(), russh::Error> {
        let daemon = self.daemon.clone();
        tokio::spawn(async move { log_out(&daemon).await });
        session.exit_status_request(channel, code)?;
        session.eof(channel)?;
        session.close(channel)?;
        self.stage.send_replace(Stage::Over);
        Ok(())
    }

    /// Runs a command, in a task of its own. What it was is not logged: values in it may be secret.
    fn run(&mut self, channel: Channel<Msg>, line: String, by: (std::path::PathBuf, String), place: Place) {
        self.stage.send_replace(Stage::Shown);
        self.place = None;
        let (here, gone) = oneshot::channel();
        self.here = Some(here);
        let (from, stage, daemon) = (self.from, self.stage.clone(), self.daemon.clone());
        let asked = Asked {
            channel,
            line,
            program: self.shared.program.clone(),
            terminal: self.terminal.is_some(),
            socket: by.0,
            token: by.1,
            daemon: daemon.clone(),
            gone,
            stop: self.stop.clone(),
        };
        tokio::spawn(async move {
            let started = Instant::now();
            info!("{from} has a command run");
            let code = command::run(asked).await;
            info!("{from} is gone after {} s: its command ended with {code}", started.elapsed().as_secs());
            stage.send_replace(Stage::Over);
            log_out(&daemon).await;
            drop(place);
        });
    }

    /// Shows a console, in a task of its own: if it breaks, this session ends and no other.
    fn show(&mut self, channel: Channel<Msg>, client: Client, place: Place) {
        self.stage.send_replace(Stage::Shown);
        self.place = None;
        let (from, stage) = (self.from, self.stage.clone());
        let opened = Opened {
            channel,
            client,
            daemon: self.daemon.clone(),
            key: self.key.clone(),
            idle: self.shared.idle,
            stop: self.stop.clone(),
        };
        tokio::spawn(async move {
            let started = Instant::now();
            let shown = session::run(opened).await;
            match shown {
                Ok(end) => info!("{from} is gone after {} s: {end}", started.elapsed().as_secs()),
                Err(broken) => {
                    error!("the console of {from} has ended by a mistake of this program: {broken}")
                }
            }
            stage.send_replace(Stage::Over);
            drop(place);
        });
    }
}

/// What is said before a login, where none can succeed.
fn banner(asked: Result<Whoami, ClientError>) -> Option<&'static str> {
    match asked {
        Ok(who) if who.keys_listed || who.password_set || who.one_time_password_set => None,
        Ok(_) => Some(
            "Nobody may log in to this console: no public key is listed for it, and no password is set.\r\n",
        ),
        Err(_) => Some("The daemon does not answer: nobody can log in to this console until it does.\r\n"),
    }
}

/// A key as files have it, kind and base64; nothing for a kind that this program does not know.
fn line_of(key: &PublicKey) -> Option<String> {
    let line = key.to_openssh().ok()?;
    let mut words = line.split_ascii_whitespace();
    Some(format!("{} {}", words.next()?, words.next()?))
}

/// A user's name as it is logged: anybody may send anything.
fn named(user: &str) -> String {
    format!("{:?}", user.chars().take(NAME_CHARS_MAX).collect::<String>())
}

impl Handler for Visitor {
    type Error = russh::Error;

    async fn authentication_banner(&mut self) -> Result<Option<String>, Self::Error> {
        self.stage.send_replace(Stage::Agreed);
        Ok(banner(self.daemon.whoami().await).map(str::to_owned))
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        let password = Some(Secret(password.to_owned()));
        let request = LoginRequest { password, ..LoginRequest::default() };
        let answer = self.log_in(user, "a password", request).await;
        if matches!(answer, Auth::Accept) {
            return Ok(answer);
        }
        // The daemon counts each, and refuses all of them while their sender has to wait: more tries here are no faster.
        self.passwords_wrong += 1;
        Ok(match self.passwords_wrong < PASSWORDS_MAX {
            true => Auth::Reject { proceed_with_methods: Some(methods()), partial_success: false },
            false => Auth::reject(),
        })
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(if self.lists(user, offer.public_key).await { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        // The library has checked that the client holds the key; the daemon decides whether it opens.
        let with = format!("the key {}", key.public_key.fingerprint(HashAlg::Sha256));
        let request = LoginRequest { key: line_of(key.public_key), ..LoginRequest::default() };
        Ok(self.log_in(user, &with, request).await)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        // One console for one connection: what is limited is counted by connections.
        if self.opened {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        self.opened = true;
        self.channel = Some(channel);
        reply.accept().await;
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        term: &str,
        col_width: u32,
        row_height: u32,
        _pix_width: u32,
        _pix_height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.client.describe(term, col_width, row_height);
        self.terminal = Some(self.client.clone());
        session.channel_success(channel)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        variable_name: &str,
        variable_value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.client.tell(variable_name, variable_value) {
            true => session.channel_success(channel),
            false => session.channel_failure(channel),
        }
    }

    async fn window_change_request(
        &mut self,
        _channel: ChannelId,
        col_width: u32,
        row_height: u32,
        _pix_width: u32,
        _pix_height: u32,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        // What comes later is the session's.
        self.client.size = screen::size(col_width, row_height);
        Ok(())
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        if self.keys_only {
            let why = "ironwake: a one-time password lets keys be added, and nothing else: use ssh-copy-id, or \
                       `ssh HOST key add < KEY.pub`";
            return self.refuse(channel, session, why);
        }
        if self.terminal.is_none() {
            let why = "ironwake: this is a console for a terminal, and none was asked for: try ssh -t";
            return self.refuse(channel, session, why);
        }
        let Some(kept) = self.channel.take() else { return session.channel_failure(channel) };
        match self.shared.door.open(self.from.ip(), Instant::now()) {
            Ok(place) => {
                session.channel_success(channel)?;
                self.show(kept, self.client.clone(), place);
                Ok(())
            }
            Err(shut) => {
                info!("{} gets no console: {shut}", self.from);
                self.refuse(channel, session, &format!("ironwake: no console is free: {shut}"))
            }
        }
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let legal = |line: &&str| line.len() <= LINE_BYTES_MAX && !line.contains('\0');
        let Some(line) = std::str::from_utf8(data).ok().filter(legal).map(str::to_owned) else {
            let why = format!("ironwake: a command is text of at most {LINE_BYTES_MAX} bytes");
            return self.refuse(channel, session, &why);
        };
        let line = match copy_id::read(line) {
            Wanted::Command(line) => line,
            Wanted::Nothing => {
                session.channel_success(channel)?;
                return self.end(channel, session, DONE);
            }
        };
        let (Where::Socket(socket), Some(token)) = (self.daemon.place(), self.token.clone()) else {
            let why = "ironwake: commands are run beside the daemon, by its socket: log in without one, for the console";
            return self.refuse(channel, session, why);
        };
        let Some(kept) = self.channel.take() else { return session.channel_failure(channel) };
        match self.shared.door.open(self.from.ip(), Instant::now()) {
            Ok(place) => {
                session.channel_success(channel)?;
                self.run(kept, line, (socket, token), place);
                Ok(())
            }
            Err(shut) => {
                info!("{} gets no command run: {shut}", self.from);
                self.refuse(channel, session, &format!("ironwake: no command is run: {shut}"))
            }
        }
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single_connection: bool,
        _x11_auth_protocol: &str,
        _x11_auth_cookie: &str,
        _x11_screen_number: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }
}
