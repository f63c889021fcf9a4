//! What a client asks for, and what it gets: a login by a listed key, one terminal with a console, and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use russh::keys::{HashAlg, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Pty};
use tokio::sync::watch;
use tracing::{error, info};

use super::Shared;
use super::connection::Stage;
use super::door::Place;
use super::screen::{self, Client};
use super::session::{self, Opened};

/// Exit code of what is not served, as of wrong arguments.
const REFUSED: u32 = 2;
/// Standard error (RFC 4254, 5.2).
const STDERR: u32 = 1;
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
}

impl Visitor {
    pub(super) fn new(
        from: SocketAddr,
        place: Place,
        shared: Arc<Shared>,
        stage: watch::Sender<Stage>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let client = Client::default();
        let (place, channel, terminal) = (Some(place), None, None);
        Self { from, place, shared, stage, stop, channel, opened: false, terminal, client }
    }

    /// Whether a key may log in. What is refused is logged.
    fn judge(&self, user: &str, key: &PublicKey) -> Option<String> {
        let comment = self.shared.authorized.find(key);
        if comment.is_none() {
            let fingerprint = key.fingerprint(HashAlg::Sha256);
            let (from, user, kind) = (self.from, named(user), key.algorithm());
            info!("{from} is refused as {user} with the key {fingerprint} ({kind}): it is not listed");
        }
        comment
    }

    /// Says why there is nothing, and ends the channel.
    fn refuse(&mut self, channel: ChannelId, session: &mut Session, why: &str) -> Result<(), russh::Error> {
        session.channel_success(channel)?;
        session.extended_data(channel, STDERR, format!("{why}\r\n").into_bytes())?;
        session.exit_status_request(channel, REFUSED)?;
        session.eof(channel)?;
        session.close(channel)?;
        self.stage.send_replace(Stage::Over);
        Ok(())
    }

    /// Shows a console, in a task of its own: if it breaks, this session ends and no other.
    fn show(&mut self, channel: Channel<Msg>, client: Client, place: Place) {
        self.stage.send_replace(Stage::Shown);
        self.place = None;
        let (from, stage) = (self.from, self.stage.clone());
        let opened = Opened {
            channel,
            client,
            daemon: self.shared.client.clone(),
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

/// A user's name as it is logged: anybody may send anything.
fn named(user: &str) -> String {
    format!("{:?}", user.chars().take(NAME_CHARS_MAX).collect::<String>())
}

impl Handler for Visitor {
    type Error = russh::Error;

    async fn authentication_banner(&mut self) -> Result<Option<String>, Self::Error> {
        self.stage.send_replace(Stage::Agreed);
        let nobody = "Nobody may log in to this console: no public key is listed for it.\r\n";
        Ok(self.shared.authorized.is_empty().then(|| nobody.to_owned()))
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(if self.judge(user, offer.public_key).is_some() { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let Some(comment) = self.judge(user, key.public_key) else { return Ok(Auth::reject()) };
        self.shared.door.succeeded(self.from.ip(), Instant::now());
        let (from, fingerprint) = (self.from, key.public_key.fingerprint(HashAlg::Sha256));
        info!("{from} has logged in as {} with the key {fingerprint} ({})", named(user), named(&comment));
        self.stage.send_replace(Stage::LoggedIn);
        Ok(Auth::Accept)
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
        _data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let why = "ironwake: no commands are run over SSH: log in without one, for the console";
        self.refuse(channel, session, why)
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
