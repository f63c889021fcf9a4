//! A whole site for one test, on a store in a temporary folder, and what it tells.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ironwake::artifacts::{Imports, Shelf};
use ironwake::config::Config;
use ironwake::site::{SharedSite, Site};
use ironwake::store::Store;
use ironwake_api::{Event, EventKind, Millis};
use tokio::sync::broadcast;

/// How long an event may take on a loaded test host.
pub const PATIENCE: Duration = Duration::from_secs(60);

thread_local! {
    /// How much later it is than the clock shows, in milliseconds.
    pub static LATER: Cell<Millis> = const { Cell::new(0) };
}

fn now() -> Millis {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    now.as_millis() as Millis + LATER.get()
}

/// A site, and the events that it has committed since it was opened.
pub struct TestSite {
    pub site: SharedSite,
    events: broadcast::Receiver<Arc<Event>>,
    shelf: Shelf,
    state: tempfile::TempDir,
    top: String,
}

impl TestSite {
    pub async fn open() -> Self {
        Self::load(tempfile::tempdir().expect("a temporary folder")).await
    }

    /// Ends it and opens another on the same store.
    pub async fn restart(self) -> Self {
        self.site.store().close().await.expect("a store that closes");
        Self::load_with(self.state, &self.top).await
    }

    async fn load(state: tempfile::TempDir) -> Self {
        Self::load_with(state, "").await
    }

    /// With these settings of the configuration's top; they hold after a restart too.
    pub async fn load_with(state: tempfile::TempDir, top: &str) -> Self {
        let store = Store::open(&state.path().join("ironwake.db")).expect("a store");
        let config = Config::parse(&format!("{top}[[network]]\ninterface = \"lo\"\n"), "test")
            .expect("a configuration");
        let events = store.subscribe();
        let shelf = Shelf::default();
        let imports = Imports::open(state.path(), shelf.clone()).expect("a folder");
        let site = Site::load(
            &config,
            store,
            now,
            Box::new(|_| {}),
            ironwake::operation::SiteKey::new([7; 32]),
            imports,
        )
        .await
        .expect("a site");
        site.set_discovery_image(ironwake::script::DiscoveryFiles {
            kernel: "/artifacts/a/vmlinuz".into(),
            initramfs: "/artifacts/b/initramfs".into(),
            installing: "/artifacts/c/installing".into(),
            rescue: Some("/artifacts/d/rescue".into()),
        });
        Self { site: Arc::new(site), events, shelf, state, top: top.to_owned() }
    }

    /// What of its imports is published.
    pub fn shelf(&self) -> Shelf {
        self.shelf.clone()
    }

    /// The folder of its store.
    pub fn folder(&self) -> &Path {
        self.state.path()
    }

    /// Waits for the next event of which `pick` makes something.
    pub async fn next<T>(&mut self, what: &str, pick: impl Fn(&EventKind) -> Option<T>) -> T {
        let picked = async {
            loop {
                let event = self.events.recv().await.expect("a store that keeps up");
                if let Some(picked) = pick(&event.kind) {
                    return picked;
                }
            }
        };
        tokio::time::timeout(PATIENCE, picked).await.unwrap_or_else(|_| panic!("no {what} in {PATIENCE:?}"))
    }

    /// Every event so far, oldest first.
    pub async fn events(&self) -> Vec<EventKind> {
        let store = self.site.store();
        // Saves are done in their order: with this one, all that was queued before it.
        store.save(Vec::new()).await.expect("a store that saves");
        let events = store.events_after(0, None, 1000).await.expect("events");
        events.into_iter().map(|event| event.kind).collect()
    }
}
