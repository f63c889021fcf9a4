//! One typed method for each route.

use hyper::{Method, Request, StatusCode};
use serde::Serialize;
use tokio::io::AsyncRead;

use super::{Client, ClientError, EventStream, encode, parse, query_of, refusal};
use crate::*;

impl Client {
    /// Machines that fit a query, one page of them.
    pub async fn machines(&self, query: &MachineQuery) -> Result<Page<Machine>, ClientError> {
        self.get(&format!("/machines{}", query_of(query))).await
    }

    /// Every machine that fits a query, page after page.
    pub async fn machines_all(&self, query: &MachineQuery) -> Result<Vec<Machine>, ClientError> {
        /// The most that the daemon gives at once.
        const PAGE_ITEMS: u32 = 1000;
        let mut query = MachineQuery { limit: Some(PAGE_ITEMS), offset: Some(0), ..query.clone() };
        let mut machines = Vec::new();
        loop {
            let page = self.machines(&query).await?;
            let ended = page.items.is_empty();
            machines.extend(page.items);
            if ended || machines.len() as u64 >= page.total {
                return Ok(machines);
            }
            query.offset = Some(u32::try_from(machines.len()).unwrap_or(u32::MAX));
        }
    }

    /// One machine with its inventory, by id, unique beginning of an id, name, MAC, UUID or serial.
    pub async fn machine(&self, key: &str) -> Result<Machine, ClientError> {
        self.get(&machine_path(key, "")).await
    }

    /// Registers a machine before it is seen.
    pub async fn register(&self, new: &MachineNew) -> Result<Machine, ClientError> {
        self.send(Method::POST, "/machines", Some(new)).await
    }

    /// Changes fields of a machine.
    pub async fn edit(&self, key: &str, patch: &MachinePatch) -> Result<Machine, ClientError> {
        self.send(Method::PATCH, &machine_path(key, ""), Some(patch)).await
    }

    /// A machine's own values, without secrets, and its host's name.
    pub async fn machine_values(&self, key: &str) -> Result<MachineValues, ClientError> {
        self.get(&machine_path(key, "/values")).await
    }

    /// Changes values of a machine.
    pub async fn edit_machine_values(
        &self,
        key: &str,
        patch: &MachineValuesPatch,
    ) -> Result<MachineValues, ClientError> {
        self.send(Method::PATCH, &machine_path(key, "/values"), Some(patch)).await
    }

    /// Deletes a machine's record.
    pub async fn delete(&self, key: &str) -> Result<(), ClientError> {
        self.call(Method::DELETE, &machine_path(key, ""), None::<&()>).await.map(drop)
    }

    /// Makes a machine known.
    pub async fn enroll(&self, key: &str) -> Result<Machine, ClientError> {
        self.send(Method::POST, &machine_path(key, "/enroll"), None::<&()>).await
    }

    /// Gives an order to a machine's waiting agent.
    pub async fn order(&self, key: &str, order: &Order) -> Result<(), ClientError> {
        self.call(Method::POST, &machine_path(key, "/orders"), Some(order)).await.map(drop)
    }

    /// Makes an operation for a machine.
    pub async fn operate(&self, key: &str, new: &OperationNew) -> Result<Operation, ClientError> {
        self.send(Method::POST, &machine_path(key, "/operations"), Some(new)).await
    }

    /// What an operation would be, and what is wrong with it; nothing is made.
    pub async fn dry_run(&self, key: &str, new: &OperationNew) -> Result<DryRun, ClientError> {
        self.send(Method::POST, &machine_path(key, "/operations/dry-run"), Some(new)).await
    }

    /// Operations, newest first, without their histories.
    pub async fn operations(&self, query: &OperationQuery) -> Result<Vec<Operation>, ClientError> {
        self.list(&format!("/operations{}", query_of(query))).await
    }

    /// One operation with its history.
    pub async fn operation(&self, id: &str) -> Result<Operation, ClientError> {
        self.get(&operation_path(id, "")).await
    }

    /// Lets the machine's next boot begin an operation.
    pub async fn arm(&self, id: &str, request: &ArmRequest) -> Result<Operation, ClientError> {
        self.send(Method::POST, &operation_path(id, "/arm"), Some(request)).await
    }

    /// Takes an arming back.
    pub async fn disarm(&self, id: &str) -> Result<Operation, ClientError> {
        self.send(Method::POST, &operation_path(id, "/disarm"), None::<&()>).await
    }

    /// Takes an operation back.
    pub async fn cancel(&self, id: &str) -> Result<Operation, ClientError> {
        self.send(Method::POST, &operation_path(id, "/cancel"), None::<&()>).await
    }

    /// Makes and arms an operation like one that failed or was cancelled.
    pub async fn retry(&self, id: &str, request: &ArmRequest) -> Result<Operation, ClientError> {
        self.send(Method::POST, &operation_path(id, "/retry"), Some(request)).await
    }

    /// What machines can be made into.
    pub async fn profiles(&self) -> Result<Profiles, ClientError> {
        self.get("/profiles").await
    }

    /// One profile.
    pub async fn profile(&self, name: &str) -> Result<ProfileSummary, ClientError> {
        self.get(&format!("/profiles/{}", encode(name))).await
    }

    /// Which profiles a machine can be made into, and why not the others.
    pub async fn fitting_profiles(&self, key: &str) -> Result<Vec<ProfileFit>, ClientError> {
        self.list(&machine_path(key, "/profiles")).await
    }

    /// What a profile gives for a machine.
    pub async fn render(
        &self,
        name: &str,
        request: &RenderRequest,
    ) -> Result<Vec<RenderedFile>, ClientError> {
        self.send(Method::POST, &format!("/profiles/{}/render", encode(name)), Some(request)).await
    }

    /// A machine's inventories, newest first.
    pub async fn inventories(&self, key: &str) -> Result<Vec<InventoryRecord>, ClientError> {
        self.list(&machine_path(key, "/inventories")).await
    }

    /// How two inventories of a machine differ; the two newest where left out.
    pub async fn inventory_changes(
        &self,
        key: &str,
        from: Option<i64>,
        to: Option<i64>,
    ) -> Result<Vec<InventoryChange>, ClientError> {
        #[derive(Serialize)]
        struct Between {
            #[serde(skip_serializing_if = "Option::is_none")]
            from: Option<i64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            to: Option<i64>,
        }
        let path = machine_path(key, "/inventories/diff");
        self.list(&format!("{path}{}", query_of(&Between { from, to }))).await
    }

    /// A machine's boot attempts, newest first.
    pub async fn attempts(&self, key: &str) -> Result<Vec<Attempt>, ClientError> {
        self.list(&machine_path(key, "/attempts")).await
    }

    /// One boot attempt with its stages.
    pub async fn attempt(&self, id: i64) -> Result<Attempt, ClientError> {
        self.get(&format!("/attempts/{id}")).await
    }

    /// Events that are stored, oldest first unless asked otherwise.
    pub async fn events(&self, query: &EventQuery) -> Result<Vec<Event>, ClientError> {
        self.list(&format!("/events{}", query_of(query))).await
    }

    /// Events as they happen, after those that are stored behind `after`. Reconnects by itself.
    pub fn follow(&self, after: Option<i64>, machine: Option<&str>) -> EventStream {
        EventStream::new(self.clone(), after, machine.map(str::to_owned))
    }

    /// Artifacts as they stand.
    pub async fn artifacts(&self) -> Result<Vec<Artifact>, ClientError> {
        self.list("/artifacts").await
    }

    /// How much imports take, of how much.
    pub async fn artifact_usage(&self) -> Result<ArtifactUsage, ClientError> {
        self.get("/cache").await
    }

    /// One artifact.
    pub async fn artifact(&self, name: &str) -> Result<Artifact, ClientError> {
        self.get(&artifact_path(name)).await
    }

    /// Imports an image under a name: all that `image` gives, `size` bytes where that is known before. The daemon keeps
    /// no bytes of another digest. `progress` is told how many bytes were handed to the daemon.
    pub async fn import(
        &self,
        name: &str,
        image: impl AsyncRead + Send + Unpin + 'static,
        size: Option<u64>,
        digest: ImportQuery,
        progress: impl FnMut(u64) + Send + Unpin + 'static,
    ) -> Result<Artifact, ClientError> {
        let query = query_of(&digest);
        let request = Request::builder()
            .method(Method::PUT)
            .uri(format!("/api/v1{}{query}", artifact_path(name)))
            .header("content-type", "application/octet-stream");
        self.upload(request, image, size, progress).await
    }

    /// Begins to import an image by URL.
    pub async fn download(&self, name: &str, request: &ImportRequest) -> Result<Artifact, ClientError> {
        self.send(Method::PUT, &format!("{}/download", artifact_path(name)), Some(request)).await
    }

    /// Changes an import.
    pub async fn edit_artifact(&self, name: &str, patch: &ArtifactPatch) -> Result<Artifact, ClientError> {
        self.send(Method::PATCH, &artifact_path(name), Some(patch)).await
    }

    /// Deletes an import that is not pinned.
    pub async fn delete_artifact(&self, name: &str) -> Result<(), ClientError> {
        self.call(Method::DELETE, &artifact_path(name), None::<&()>).await.map(drop)
    }

    /// DHCP leases.
    pub async fn leases(&self) -> Result<Vec<Lease>, ClientError> {
        self.list("/leases").await
    }

    /// How the daemon is. A daemon that is failing answers too.
    pub async fn health(&self) -> Result<Health, ClientError> {
        let (status, body) = self.exchange(Method::GET, "/health", None::<&()>).await?;
        match status {
            StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE => parse(&body),
            _ => Err(refusal(status, &body)),
        }
    }

    /// What a machine would get, step by step.
    pub async fn simulate(&self, query: &SimulateQuery) -> Result<Vec<SimulatedStep>, ClientError> {
        self.list(&format!("/simulate{}", query_of(query))).await
    }

    /// The daemon's version.
    pub async fn version(&self) -> Result<Version, ClientError> {
        self.get("/version").await
    }

    /// The OpenAPI document.
    pub async fn openapi(&self) -> Result<serde_json::Value, ClientError> {
        self.get("/openapi.json").await
    }

    /// Every setting and where it comes from.
    pub async fn settings(&self) -> Result<Settings, ClientError> {
        self.get("/settings").await
    }

    /// Changes settings by a JSON merge patch.
    pub async fn change_settings(&self, patch: &serde_json::Value) -> Result<Settings, ClientError> {
        self.send(Method::PATCH, "/settings", Some(patch)).await
    }

    /// Tokens of the API, by name.
    pub async fn tokens(&self) -> Result<Vec<Token>, ClientError> {
        self.list("/tokens").await
    }

    /// Makes a token; the answer is the only time that it is shown.
    pub async fn make_token(&self, new: &TokenNew) -> Result<TokenMade, ClientError> {
        self.send(Method::POST, "/tokens", Some(new)).await
    }

    /// Ends a token.
    pub async fn revoke_token(&self, name: &str) -> Result<(), ClientError> {
        self.call(Method::DELETE, &format!("/tokens/{}", encode(name)), None::<&()>).await.map(drop)
    }

    /// The appliance's certificate authority.
    pub async fn authority(&self) -> Result<Authority, ClientError> {
        self.get("/authority").await
    }
}

pub(super) fn machine_path(key: &str, rest: &str) -> String {
    format!("/machines/{}{rest}", encode(key))
}

fn artifact_path(name: &str) -> String {
    format!("/artifacts/{}", encode(name))
}

fn operation_path(id: &str, rest: &str) -> String {
    format!("/operations/{}{rest}", encode(id))
}
