//! A daemon's site at the socket for SSH, with one machine.

#[path = "../../../tests/site/mod.rs"]
mod site;

use std::path::{Path, PathBuf};

use ironwake::http;
use ironwake::site::{SettingPassword, SharedSite};
use ironwake_api::{Actor, Entrance, Event, MachineNew, Secret};
use site::TestSite;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What the administrator logs in with, once it is set.
pub const PASSWORD: &str = "correct horse battery";

/// The daemon, until it is dropped.
pub struct Daemon {
    runtime: Runtime,
    site: Option<TestSite>,
    socket: PathBuf,
    serving: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Daemon {
    /// Answers at `ssh.sock` in a folder, where its list of keys is too.
    pub fn start(folder: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let top = format!("[console]\nauthorized_keys = {:?}\n", folder.join("authorized_keys"));
        let state = tempfile::tempdir().expect("a folder");
        let site = runtime.block_on(async {
            let site = TestSite::load_with(state, &top).await;
            let new = MachineNew {
                name: Some("node-7".into()),
                macs: vec!["52:54:00:00:00:07".into()],
                ..MachineNew::default()
            };
            site.site.register(new, root()).await.expect("registered");
            site
        });
        site.site.keep_password(site.folder()).expect("none yet");
        let mut daemon = Self { runtime, site: Some(site), socket: folder.join("ssh.sock"), serving: None };
        daemon.serve();
        daemon
    }

    /// Its site.
    pub fn site(&self) -> SharedSite {
        self.site.as_ref().expect("it is there").site.clone()
    }

    /// Answers again.
    pub fn serve(&mut self) {
        let (site, shutdown) = (self.site(), CancellationToken::new());
        let _inside = self.runtime.enter();
        let listener = http::bind_entrance(&self.socket, Entrance::Ssh).expect("a socket");
        let serving = http::serve_entrance(listener, Entrance::Ssh, site, shutdown.clone());
        self.serving = Some((shutdown, self.runtime.spawn(serving)));
    }

    /// Answers nobody, and cuts off who is there.
    pub fn stop(&mut self) {
        if let Some((shutdown, serving)) = self.serving.take() {
            shutdown.cancel();
            self.runtime.block_on(serving).expect("no panic");
        }
    }

    /// Ends it and starts it again.
    pub fn restart(&mut self) {
        self.stop();
        let site = self.site.take().expect("it is there");
        let site = self.runtime.block_on(site.restart());
        site.site.keep_password(site.folder()).expect("the same");
        self.site = Some(site);
        self.serve();
    }

    /// Makes a one-time password.
    pub fn one_time_password(&self) -> String {
        let made = self.runtime.block_on(self.site().make_one_time_password(root()));
        made.expect("made").password.0
    }

    /// Takes every added key away.
    pub fn delete_keys(&self) {
        let site = self.site();
        let deleted = async move {
            for listed in site.ssh_keys().await.expect("keys") {
                site.delete_ssh_key(&listed.key.fingerprint, root()).await.expect("deleted");
            }
        };
        self.runtime.block_on(deleted);
    }

    /// Sets the administrator's password.
    pub fn set_password(&self) {
        let site = self.site();
        let password = Secret(PASSWORD.into());
        let set = async move { site.set_password(password, SettingPassword::Anew(None), root()).await };
        self.runtime.block_on(set).expect("set");
    }

    /// Registers another machine.
    pub fn register(&self, new: MachineNew) {
        let site = self.site();
        self.runtime.block_on(async move { site.register(new, root()).await }).expect("registered");
    }

    /// What has happened so far.
    pub fn events(&self) -> Vec<Event> {
        let site = self.site();
        self.runtime.block_on(async move {
            site.store().save(Vec::new()).await.expect("saved");
            site.store().events_after(0, None, 1000).await.expect("events")
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}

fn root() -> Actor {
    Actor::Operator("root".into())
}
