//! The fleet of one test: the six binaries behind the real nginx, on stores that no other test uses.

use std::process::Output;
use std::time::{Duration, Instant};

use futures::future::join_all;
use testkit::{Client, Folder, Process, free_address, portal_binary, wait_until};

use crate::gateway::{Gateway, Settings};
use crate::instance::{Instance, instances};
use crate::plan::Plan;
use crate::seed::{Seeded, seed};
use crate::stores::Stores;

/// The longest time from the start of a service until all its dependencies answer, on a busy machine.
const READY: Duration = Duration::from_secs(30);

/// Six services and a gateway. All of them end when this is dropped.
pub struct Fleet {
    // In the order of dropping: first the requests end, then the writes, then the stores are removed.
    gateway: Gateway,
    instances: Vec<Instance>,
    graphs: usize,
    stores: Stores,
    folder: Folder,
}

impl Fleet {
    /// Starts `replicas` of each service and the gateway, and returns when all of them are ready. A setting
    /// is for every service, such as `("PROCESS__LOG", "debug")`, or for one, such as
    /// `("ORCHESTRATOR__CACHE__BYTES", "0")`.
    ///
    /// # Panics
    /// If one of them does not start. Its output is shown.
    pub async fn start(replicas: usize, settings: &[(&str, &str)], gateway: Settings) -> Self {
        let (stores, folder) = (Stores::new().await, Folder::new());
        let password = folder.join("admin-password");
        std::fs::write(&password, "first of all the admins").expect("the folder is ours");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&password, private).expect("the file is ours");
        let mut instances = instances(replicas);
        let address = free_address();
        let plan = Plan { address, stores: &stores, folder: folder.path(), settings };
        let variables: Vec<_> =
            instances.iter().map(|instance| plan.variables(instance, &instances)).collect();
        for (instance, variables) in instances.iter_mut().zip(variables) {
            instance.variables = variables;
        }
        let gateway = Gateway::start_at(address, upstreams(gateway, &instances)).await;
        let mut fleet = Self { gateway, instances, graphs: 1, stores, folder };
        fleet.start_where(|instance| instance.service == "users" && instance.number == 1).await;
        fleet.start_all().await;
        fleet
    }

    /// Returns the URL of the gateway, without a slash at the end.
    pub fn url(&self) -> &str {
        self.gateway.url()
    }

    /// Returns the file with the password of the first admin.
    pub fn admin_password_file(&self) -> std::path::PathBuf {
        self.folder.join("admin-password")
    }

    /// Starts the instances that don't run, and returns when all are ready.
    pub async fn start_all(&mut self) {
        self.start_where(|_| true).await;
    }

    /// Starts the instances of this service that don't run.
    pub async fn start_service(&mut self, service: &str) {
        self.start_where(|instance| instance.service == service).await;
    }

    /// Kills every process of this service (SIGKILL).
    pub fn kill9(&mut self, service: &str) {
        self.kill9_where(|instance| instance.service == service);
    }

    /// Kills one process of this service. `number` counts from 1.
    pub fn kill9_one(&mut self, service: &str, number: usize) {
        self.kill9_where(|instance| instance.service == service && instance.number == number);
    }

    /// Kills every process of every service.
    pub fn kill9_all(&mut self) {
        self.kill9_where(|_| true);
    }

    /// Stops every service in order, and waits until all have ended.
    pub async fn stop(&mut self) {
        join_all(self.instances.iter_mut().map(Instance::stop)).await;
    }

    /// Returns the first process of this service.
    ///
    /// # Panics
    /// If it does not run.
    pub fn process(&self, service: &str) -> &Process {
        let instance = self.instances.iter().find(|instance| instance.service == service);
        instance.and_then(|instance| instance.process.as_ref()).expect("the service runs")
    }

    /// Returns the id of nginx's main process, whose children are the workers.
    pub fn gateway_id(&self) -> u32 {
        self.gateway.process_id()
    }

    /// Returns a setting of the first instance of this service. `key` has the form `PROCESS__LISTEN`.
    ///
    /// # Panics
    /// If it is not set.
    pub fn setting(&self, service: &str, key: &str) -> &str {
        let instance = self.instances.iter().find(|instance| instance.service == service);
        let ending = format!("__{key}");
        let mut variables = instance.expect("the service exists").variables.iter();
        &variables.find(|(name, _)| name.ends_with(&ending)).expect("the setting is set").1
    }

    /// Returns clients of each process of this service, without the gateway.
    pub fn clients(&self, service: &str) -> Vec<Client> {
        self.instances.iter().filter(|it| it.service == service).map(Instance::client).collect()
    }

    /// Fills the stores with `portal seed`, as `cargo xtask fleet seed` does.
    pub(crate) fn seed(&self, articles: u16) -> Vec<Seeded> {
        seed(&self.folder.join("seed"), articles, &self.store_variables())
    }

    /// Runs `portal verify-history` over the stores of the fleet, which may be running.
    ///
    /// # Panics
    /// If the program can't be run.
    pub async fn verify_history(&self, section: &str) -> Output {
        let mut command = tokio::process::Command::new(portal_binary());
        command.args(["verify-history", "--section", section, "--data-dir"]).arg(self.folder.join("verify"));
        command.envs(self.store_variables()).output().await.expect("the portal can be run")
    }

    /// Returns the variables of the services' stores, for a command that works on them.
    fn store_variables(&self) -> Vec<(String, String)> {
        let first = self.instances.iter().filter(|instance| instance.number == 1);
        let variables = first.flat_map(|instance| instance.variables.iter().cloned());
        // Addresses and tokens of a process are left out, because the services of a command have no network
        // between them.
        let of_a_process = [
            "__PROCESS__",
            "__GRPC__",
            "__TOKEN",
            "ORCHESTRATOR__RECOMMENDATIONS__URL",
            "RECOMMENDATIONS__USERS__URL",
        ];
        variables.filter(|(name, _)| !of_a_process.iter().any(|part| name.contains(part))).collect()
    }

    /// Returns the text of every row and document in the stores of users and the sections. Binary columns are
    /// in hexadecimal digits.
    pub async fn stored_text(&self) -> String {
        self.stores.stored_text().await
    }

    /// Starts the first instance of this service, which must not be running. Returns the time until it is
    /// ready.
    ///
    /// # Panics
    /// If it does not become ready.
    pub async fn time_start(&mut self, service: &str) -> Duration {
        let instance = self.instances.iter_mut().find(|instance| instance.service == service);
        let (instance, begun) = (instance.expect("the service exists"), Instant::now());
        instance.start(self.folder.path()).await;
        wait_until("a service that is ready", READY, || async {
            let answer = instance.client().get("/readyz").try_send().await;
            answer.is_ok_and(|answer| answer.status == 200).then_some(())
        })
        .await;
        begun.elapsed()
    }

    /// Returns every line that the services have written so far.
    pub fn output(&self) -> Vec<String> {
        self.instances.iter().flat_map(Instance::output).collect()
    }

    /// Restarts recommendations on a new, empty graph.
    pub async fn lose_tastes(&mut self) {
        self.graphs += 1;
        let graph = self.stores.neo4j(self.graphs);
        self.kill9("recommendations");
        for instance in self.instances.iter_mut().filter(|instance| instance.service == "recommendations") {
            let url = instance.variables.iter_mut().find(|(name, _)| name.ends_with("__STORE__URL"));
            url.expect("recommendations has a store").1.clone_from(&graph);
        }
        self.start_service("recommendations").await;
    }

    /// Returns the services whose `/readyz` does not return 200, with its response.
    pub async fn not_ready(&self) -> Vec<String> {
        let running = self.instances.iter().filter(|instance| instance.process.is_some());
        let answers = join_all(running.map(|instance| async move {
            let answer = instance.client().get("/readyz").try_send().await;
            match answer {
                Ok(answer) if answer.status == 200 => None,
                Ok(answer) => Some(format!("{}: {}", instance.service, answer.text())),
                Err(error) => Some(format!("{}: {error}", instance.service)),
            }
        }));
        answers.await.into_iter().flatten().collect()
    }

    async fn start_where(&mut self, is_selected: impl Fn(&Instance) -> bool) {
        let folder = self.folder.path();
        let down =
            self.instances.iter_mut().filter(|instance| instance.process.is_none() && is_selected(instance));
        join_all(down.map(|instance| instance.start(folder))).await;
        wait_until("services that are ready", READY, || async {
            self.not_ready().await.is_empty().then_some(())
        })
        .await;
    }

    fn kill9_where(&mut self, is_selected: impl Fn(&Instance) -> bool) {
        self.instances.iter_mut().filter(|instance| is_selected(instance)).for_each(Instance::kill9);
    }
}

/// Adds the instances of each service to the gateway's settings.
fn upstreams(settings: Settings, instances: &[Instance]) -> Settings {
    let servers = |service: &str| {
        let of = instances.iter().filter(|instance| instance.service == service);
        // The same parameters as in the compose file.
        of.map(|instance| format!("server {} max_fails=3 fail_timeout=2s; ", instance.http))
            .collect::<String>()
    };
    settings
        .with("GATEWAY_USERS", &servers("users"))
        .with("GATEWAY_NEWS", &servers("orchestrator"))
        .with("GATEWAY_RECOMMENDATIONS", &servers("recommendations"))
}
