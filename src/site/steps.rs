//! The last steps of a rebuild, on the host that has phoned home; and the operation's key is taken back from it.

use std::sync::Arc;
use std::time::Duration;

use ironwake_api::{Actor, EventKind, OperationState, StepResult, StepState};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::logins::{Attended, target};
use super::{Site, SiteError};
use crate::operation::{Record, Trigger};
use crate::profile::{RenderedLogin, RenderedStep};
use crate::remote::ssh::{End, LoginKey, Ran, Script, Session, SshError, Target};
use crate::store::Change;

/// What woke nobody, such as a store that was slow, is seen after this long.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// The first pause before a host is tried again, and the longest: a host restarts its SSH server within seconds.
const RECONNECT: Duration = Duration::from_secs(1);
const RECONNECT_MAX: Duration = Duration::from_secs(15);
/// The longest pause between tries of a step.
const BACKOFF_MAX: Duration = Duration::from_secs(3600);
/// How long it is tried to take the key back from the host of an operation that has failed.
const REVOKE_MAX: Duration = Duration::from_secs(60);
/// How long taking the key back may run on the host.
const REVOKE_RUN_MAX: Duration = Duration::from_secs(15);
/// How often taking the key back may fail on a host that is reached.
const REVOKE_TRIES_MAX: u32 = 3;

/// Why the last steps are not done.
enum Unjoined {
    /// The operation or the daemon ends.
    Stopped,
    /// It cannot go on.
    Failed(String),
}

/// Why the operation's key opens nothing on its host.
enum Gone {
    /// It was there, and is no more.
    Removed,
    /// The host refused it: it was removed before, or was never taken up.
    Refused,
}

impl Gone {
    /// For the operation's history.
    fn what(&self) -> &'static str {
        match self {
            Self::Removed => "the operation's key was removed from the host and destroyed",
            Self::Refused => "the host refuses the operation's key, which was destroyed",
        }
    }
}

impl From<SiteError> for Unjoined {
    fn from(error: SiteError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Site {
    /// Does what is to be done on hosts, until `shutdown`: steps of operations that join, and keys of those that have ended.
    /// It goes by what is in the store, so a crash at any moment only delays it.
    pub async fn attend_hosts(self: Arc<Self>, shutdown: CancellationToken) {
        let mut tasks = JoinSet::new();
        loop {
            let woken = self.logins.woken();
            if let Err(error) = self.begin_attending(&mut tasks, &shutdown).await {
                warn!(%error, "what is to be done on hosts was not read");
            }
            tokio::select! {
                () = woken => {}
                Some(_) = tasks.join_next() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = shutdown.cancelled() => break,
            }
        }
        // What runs on hosts is ended with the daemon, and begun again by the next one.
        while tasks.join_next().await.is_some() {}
    }

    async fn begin_attending(
        self: &Arc<Self>,
        tasks: &mut JoinSet<()>,
        shutdown: &CancellationToken,
    ) -> Result<(), SiteError> {
        // One without steps is passed through when the host phones home; here, where that was not saved.
        for record in self.operations.joining() {
            let id = record.operation.id;
            if let Some(attended) = self.logins.attend(&id, shutdown) {
                let site = self.clone();
                tasks.spawn(async move { site.join_host(&id, attended).await });
            }
        }
        for id in self.store.login_keys().await? {
            if !self.stored(&id).await?.operation.state.has_ended() {
                continue;
            }
            if let Some(attended) = self.logins.attend(&id, shutdown) {
                let site = self.clone();
                tasks.spawn(async move {
                    if let Err(error) = site.revoke_ended(&id, &attended).await {
                        warn!(operation = id, %error, "the key of an operation that has ended is still there");
                        tokio::time::sleep(RECONNECT_MAX).await;
                    }
                });
            }
        }
        Ok(())
    }

    async fn join_host(&self, id: &str, attended: Attended) {
        let trigger = match self.run_steps(id, &attended).await {
            Ok(()) => Trigger::Joined,
            Err(Unjoined::Failed(reason)) => Trigger::Fail { reason },
            Err(Unjoined::Stopped) => return,
        };
        // Whoever ends the operation stops what is done for it; here that is this task itself.
        if let Err(error) = self.happen(id, trigger, &Actor::Daemon).await {
            warn!(operation = id, %error, "the end of the last steps was not saved");
            tokio::time::sleep(RECONNECT_MAX).await;
        }
    }

    async fn run_steps(&self, id: &str, attended: &Attended) -> Result<(), Unjoined> {
        let record = self.stored(id).await?;
        if record.operation.state != OperationState::Joining {
            return Err(Unjoined::Stopped);
        }
        let Some(login) = &record.login else { return Ok(()) };
        let login = self.rendered_login(&record, login.http).await?;
        let mut visit = self.visit(&record, login, attended).await?;
        let before = self.store.operation_steps(id).await.map_err(SiteError::from)?;
        for step in visit.login.steps.clone() {
            let known = before.iter().find(|(seq, result)| *seq == step.seq && result.name == step.name);
            match known {
                Some((_, result)) if result.state == StepState::Done => {}
                known => visit.step(&step, known.map_or(0, |(_, result)| result.tries)).await?,
            }
        }
        // Logins worked, or no step would be done: a host that refuses the key was told before, and that was not saved.
        visit.revoke().await.map(|_| ())
    }

    /// Takes the key of an operation that has failed back from its host, as far as that is possible, and destroys it.
    async fn revoke_ended(&self, id: &str, attended: &Attended) -> Result<(), SiteError> {
        let record = self.stored(id).await?;
        let revoking = async {
            let http = record.login.as_ref().map(|login| login.http);
            let http = http.ok_or_else(|| Unjoined::Failed("it is not known where".into()))?;
            let login = self.rendered_login(&record, http).await?;
            self.visit(&record, login, attended).await?.revoke().await
        };
        let why = match tokio::time::timeout(REVOKE_MAX, revoking).await {
            Ok(Ok(gone)) => return self.forget_login(id, gone.what()).await,
            // The daemon ends: the next one goes on.
            Ok(Err(Unjoined::Stopped)) => return Ok(()),
            Ok(Err(Unjoined::Failed(why))) => why,
            Err(_) => self.logins.problem(id).unwrap_or_else(|| "the host did not answer in time".into()),
        };
        let what = format!(
            "the operation's public key is still on the host, which was not reached ({why}); its private half was destroyed, \
             so it opens nothing"
        );
        self.forget_login(id, &what).await
    }

    async fn visit<'a>(
        &'a self,
        record: &Record,
        login: RenderedLogin,
        attended: &'a Attended,
    ) -> Result<Visit<'a>, Unjoined> {
        let operation = &record.operation;
        let key = self.login_key(&operation.id).await?;
        let key = key
            .ok_or_else(|| Unjoined::Failed("its key cannot be opened: `site.key` is another one".into()))?;
        let target = operation.host.as_ref().and_then(|host| target(host, &login));
        let target = target.ok_or_else(|| Unjoined::Failed("the host's address is not known".into()))?;
        Ok(Visit {
            site: self,
            operation: operation.id.clone(),
            machine: operation.machine.clone(),
            public_key: record.login.as_ref().map(|login| login.public_key.clone()).unwrap_or_default(),
            login,
            key,
            target,
            attended,
            session: None,
        })
    }
}

/// What one operation does on its host.
struct Visit<'a> {
    site: &'a Site,
    operation: String,
    machine: String,
    public_key: String,
    login: RenderedLogin,
    key: LoginKey,
    target: Target,
    attended: &'a Attended,
    session: Option<Session>,
}

impl Visit<'_> {
    /// Runs a step until it is done, or was tried often enough.
    async fn step(&mut self, step: &RenderedStep, tries: u32) -> Result<(), Unjoined> {
        let mut result = StepResult {
            name: step.name.clone(),
            state: StepState::Waiting,
            tries,
            started_at: self.site.now(),
            ended_at: None,
            exit_code: None,
            problem: None,
            output: String::new(),
            output_cut_bytes: 0,
        };
        let mut failures = 0;
        let mut pause = step.backoff;
        loop {
            let session = self.session(step, &mut result).await?;
            result.tries += 1;
            (result.state, result.problem, result.exit_code) = (StepState::Running, None, None);
            (result.started_at, result.ended_at) = (self.site.now(), None);
            self.save(step, &result).await?;
            let script = Script {
                shell: step.shell.name(),
                text: &step.script,
                timeout: step.timeout,
                mask: &self.login.mask,
            };
            let ran = session.run(script, &self.attended.stop).await;
            result.ended_at = Some(self.site.now());
            match ran {
                Err(error) => {
                    // Whether it was done is not known: it is run again, as often as the deadline lets it.
                    (result.state, result.problem) = (StepState::Waiting, Some(error.to_string()));
                    self.save(step, &result).await?;
                    self.pause(RECONNECT).await?;
                }
                Ok(ran) => {
                    self.session = Some(session);
                    let stopped = ran.end == End::Stopped;
                    Self::ended(step, ran, &mut result);
                    failures += 1;
                    if result.problem.is_some() && failures <= step.retries && !stopped {
                        result.state = StepState::Waiting;
                    }
                    self.save(step, &result).await?;
                    match (&result.problem, result.state) {
                        (None, _) => return Ok(()),
                        _ if stopped => return Err(Unjoined::Stopped),
                        (Some(problem), StepState::Failed) => {
                            let tries = if failures == 1 {
                                String::new()
                            } else {
                                format!(", tried {failures} times")
                            };
                            return Err(Unjoined::Failed(format!("step {} {problem}{tries}", step.name)));
                        }
                        _ => self.pause(pause).await?,
                    }
                    pause = (pause * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    fn ended(step: &RenderedStep, ran: Ran, result: &mut StepResult) {
        (result.output, result.output_cut_bytes) = (ran.output, ran.output_cut_bytes);
        result.problem = match ran.end {
            End::Code(code) => {
                result.exit_code = Some(code);
                (code != step.exit_code)
                    .then(|| format!("ended with exit code {code}, and {} was expected", step.exit_code))
            }
            End::Signal(name) => Some(format!("was ended by signal {name}")),
            End::TimedOut => Some(format!("took longer than {} s and was ended", step.timeout.as_secs())),
            End::Stopped => Some("was ended, as the operation or the daemon ends".into()),
        };
        result.state = if result.problem.is_none() { StepState::Done } else { StepState::Failed };
    }

    /// The login for a step, made again where it broke; waits as long as it takes.
    async fn session(&mut self, step: &RenderedStep, result: &mut StepResult) -> Result<Session, Unjoined> {
        let mut pause = RECONNECT;
        loop {
            let error = match self.open().await? {
                Ok(session) => return Ok(session),
                Err(error) => error.to_string(),
            };
            if self.attended.note(Some(error.clone())) {
                (result.state, result.problem) = (StepState::Waiting, Some(error));
                self.save(step, result).await?;
            }
            self.pause(pause).await?;
            pause = (pause * 2).min(RECONNECT_MAX);
        }
    }

    /// The login that there is, or one more try; what may pass is the inner error.
    async fn open(&mut self) -> Result<Result<Session, SshError>, Unjoined> {
        if let Some(session) = self.session.take() {
            return Ok(Ok(session));
        }
        let opened = Session::open(&self.target, &self.key).await;
        match &opened {
            Ok(_) => drop(self.attended.note(None)),
            Err(error) if !error.may_pass() => return Err(Unjoined::Failed(error.to_string())),
            Err(_) => {}
        }
        Ok(opened)
    }

    /// Takes the key out of the host's `authorized_keys`, and makes sure that it opens nothing there. It may be done again:
    /// whoever did it may have died, or lost the connection, before it was known.
    async fn revoke(&mut self) -> Result<Gone, Unjoined> {
        let body = self.public_key.split(' ').nth(1).unwrap_or_default().to_owned();
        let text = REVOKE.replace("@KEY@", &body);
        let mask = self.login.mask.clone();
        let script = Script { shell: "sh", text: &text, timeout: REVOKE_RUN_MAX, mask: &mask };
        let (mut tries, mut pause) = (0, RECONNECT);
        loop {
            let session = match self.open().await? {
                Ok(session) => session,
                // The host has shown its key by then: it is the right one.
                Err(SshError::Login { .. }) => return Ok(Gone::Refused),
                Err(error) => {
                    self.attended.note(Some(error.to_string()));
                    self.pause(pause).await?;
                    pause = (pause * 2).min(RECONNECT_MAX);
                    continue;
                }
            };
            let ran = session.run(script, &self.attended.stop).await;
            session.close().await;
            let problem = match ran {
                Ok(Ran { end: End::Stopped, .. }) => return Err(Unjoined::Stopped),
                Ok(Ran { end: End::Code(0), .. }) => match Session::open(&self.target, &self.key).await {
                    Err(SshError::Login { .. }) => return Ok(Gone::Removed),
                    Err(error) => error.to_string(),
                    Ok(session) => {
                        session.close().await;
                        "it opens the host still: it stands elsewhere than in ~/.ssh/authorized_keys".into()
                    }
                },
                Ok(ran) => format!("{:?}: {}", ran.end, ran.output.trim()),
                Err(error) => error.to_string(),
            };
            tries += 1;
            if tries >= REVOKE_TRIES_MAX {
                let reason = format!("the operation's key could not be removed from the host: {problem}");
                return Err(Unjoined::Failed(reason));
            }
            self.attended.note(Some(problem));
            self.pause(RECONNECT).await?;
        }
    }

    async fn save(&self, step: &RenderedStep, result: &StepResult) -> Result<(), Unjoined> {
        self.attended.begin(&step.name);
        let kind = EventKind::OperationStep {
            operation: self.operation.clone(),
            step: result.name.clone(),
            state: result.state,
            tries: result.tries,
            exit_code: result.exit_code,
            problem: result.problem.clone(),
        };
        let event = self.site.event(Actor::Daemon, Some(&self.machine), kind);
        let change = Change::OperationStep {
            operation: self.operation.clone(),
            seq: step.seq,
            step: Box::new(result.clone()),
        };
        Ok(self.site.store.save(vec![change, event]).await.map_err(SiteError::from)?)
    }

    async fn pause(&self, pause: Duration) -> Result<(), Unjoined> {
        let until = Instant::now() + pause;
        tokio::select! {
            () = tokio::time::sleep_until(until) => Ok(()),
            () = self.attended.stop.cancelled() => Err(Unjoined::Stopped),
        }
    }
}

/// Takes every line with the key out of the file, which is whole at any moment and keeps its owner and mode.
const REVOKE: &str = r#"key='@KEY@'
file="$HOME/.ssh/authorized_keys"
[ -f "$file" ] || exit 0
grep -qF "$key" "$file" || exit 0
rest="$file.ironwake"
cp -p "$file" "$rest" || exit 1
grep -vF "$key" "$file" > "$rest"
[ $? -le 1 ] && mv -f "$rest" "$file" && sync || { rm -f "$rest"; exit 1; }
"#;
