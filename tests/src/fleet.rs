//! A fleet of one test's own: the six binaries behind the real nginx, on stores that nobody else uses.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use futures::future::join_all;
use testkit::{Client, Folder, Process, Program, binary, free_address, portal_binary, wait_until};

use crate::gateway::{Gateway, Settings};
use crate::plan::Plan;
use crate::seed::{Seeded, seed};
use crate::stores::Stores;

/// The services, in the order of starting: users makes the key that signs tokens.
pub const SERVICES: [&str; 6] =
    ["users", "famous-news", "politics-news", "sports-news", "recommendations", "orchestrator"];

/// How long a service may take from its start until every dependency answers it, on a machine with much to do.
const READY: Duration = Duration::from_secs(30);

/// What a service says, as JSON, when it takes requests.
const TAKES_REQUESTS: &str = "\"message\":\"ready\"";

/// One process of a service.
pub(crate) struct Instance {
    pub(crate) service: &'static str,
    number: usize,
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    variables: Vec<(String, String)>,
    process: Option<Process>,
    /// What its earlier processes wrote.
    earlier: Vec<String>,
}

/// Six services and a gateway. Everything ends with it.
pub struct Fleet {
    // In the order of dropping: nobody asks any more, then nobody writes, then the stores go.
    gateway: Gateway,
    instances: Vec<Instance>,
    graphs: usize,
    stores: Stores,
    folder: Folder,
}

impl Fleet {
    /// Starts `replicas` of each service and the gateway, and returns when all of them are ready. `settings` are told to every
    /// service, as `("PROCESS__LOG", "debug")`, or to one, as `("ORCHESTRATOR__CACHE__BYTES", "0")`.
    ///
    /// # Panics
    /// Where one of them does not start, with its output.
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
        fleet.start_those(|instance| instance.service == "users" && instance.number == 1).await;
        fleet.start_all().await;
        fleet
    }

    /// The gateway's address, without a slash at the end.
    pub fn url(&self) -> &str {
        self.gateway.url()
    }

    /// The file with the password of the first admin.
    pub fn admin_password_file(&self) -> std::path::PathBuf {
        self.folder.join("admin-password")
    }

    /// Starts what doesn't run, and returns when everything is ready.
    pub async fn start_all(&mut self) {
        self.start_those(|_| true).await;
    }

    /// Starts the processes of this service that don't run.
    pub async fn start_service(&mut self, service: &str) {
        self.start_those(|instance| instance.service == service).await;
    }

    /// Ends every process of this service at once: SIGKILL.
    pub fn kill9(&mut self, service: &str) {
        self.kill9_those(|instance| instance.service == service);
    }

    /// Ends one process of this service at once; `number` is from 1.
    pub fn kill9_one(&mut self, service: &str, number: usize) {
        self.kill9_those(|instance| instance.service == service && instance.number == number);
    }

    /// Ends every process of every service at once.
    pub fn kill9_all(&mut self) {
        self.kill9_those(|_| true);
    }

    /// Asks every service to end, and waits until all have, each in order.
    pub async fn stop(&mut self) {
        join_all(self.instances.iter_mut().map(Instance::stop)).await;
    }

    /// The process of this service; of several the first.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn process(&self, service: &str) -> &Process {
        let instance = self.instances.iter().find(|instance| instance.service == service);
        instance.and_then(|instance| instance.process.as_ref()).expect("the service runs")
    }

    /// The process id of nginx, of which the workers are children.
    pub fn gateway_id(&self) -> u32 {
        self.gateway.process_id()
    }

    /// What this service was told; of several instances the first. `key` is as in `("PROCESS__LISTEN", …)`.
    ///
    /// # Panics
    /// Where it was not told.
    pub fn setting(&self, service: &str, key: &str) -> &str {
        let instance = self.instances.iter().find(|instance| instance.service == service);
        let ending = format!("__{key}");
        let mut told = instance.expect("the service is there").variables.iter();
        &told.find(|(name, _)| name.ends_with(&ending)).expect("the service was told").1
    }

    /// Clients of each process of this service, past the gateway.
    pub fn clients(&self, service: &str) -> Vec<Client> {
        self.instances.iter().filter(|it| it.service == service).map(Instance::client).collect()
    }

    /// Fills the stores by `portal seed`, as `cargo xtask fleet seed` does it.
    pub(crate) fn seed(&self, articles: u16) -> Vec<Seeded> {
        seed(&self.folder.join("seed"), articles, &self.stores_as_told())
    }

    /// Runs `portal verify-history` over the stores of the fleet, which may run meanwhile.
    ///
    /// # Panics
    /// Where the program can't be run.
    pub async fn verify_history(&self, section: &str) -> Output {
        let mut command = tokio::process::Command::new(portal_binary());
        command.args(["verify-history", "--section", section, "--data-dir"]).arg(self.folder.join("verify"));
        command.envs(self.stores_as_told()).output().await.expect("the portal can be run")
    }

    /// What the services were told of their stores, for a command that is run over them.
    fn stores_as_told(&self) -> Vec<(String, String)> {
        let first = self.instances.iter().filter(|instance| instance.number == 1);
        let told = first.flat_map(|instance| instance.variables.iter().cloned());
        // How a service listens and what it proves itself with is the affair of its process; and between the services of a command
        // there is no network.
        let of_a_process = [
            "__PROCESS__",
            "__GRPC__",
            "__TOKEN",
            "ORCHESTRATOR__RECOMMENDATIONS__URL",
            "RECOMMENDATIONS__USERS__URL",
        ];
        told.filter(|(name, _)| !of_a_process.iter().any(|part| name.contains(part))).collect()
    }

    /// Starts this service, which does not run, and gives the time from the start of its process until it is ready; of several
    /// instances the first.
    ///
    /// # Panics
    /// Where it does not become ready.
    pub async fn time_start(&mut self, service: &str) -> Duration {
        let instance = self.instances.iter_mut().find(|instance| instance.service == service);
        let (instance, begun) = (instance.expect("the service is there"), Instant::now());
        instance.start(self.folder.path()).await;
        wait_until("a service that is ready", READY, || async {
            let answer = instance.client().get("/readyz").try_send().await;
            answer.is_ok_and(|answer| answer.status == 200).then_some(())
        })
        .await;
        begun.elapsed()
    }

    /// Every line that the services have written so far.
    pub fn output(&self) -> Vec<String> {
        self.instances.iter().flat_map(Instance::output).collect()
    }

    /// Restarts recommendations on another, empty graph.
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

    /// Which of the services answer `/readyz` with another status than 200, and what.
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

    async fn start_those(&mut self, those: impl Fn(&Instance) -> bool) {
        let folder = self.folder.path();
        let down = self.instances.iter_mut().filter(|instance| instance.process.is_none() && those(instance));
        join_all(down.map(|instance| instance.start(folder))).await;
        wait_until("services that are ready", READY, || async {
            self.not_ready().await.is_empty().then_some(())
        })
        .await;
    }

    fn kill9_those(&mut self, those: impl Fn(&Instance) -> bool) {
        self.instances.iter_mut().filter(|instance| those(instance)).for_each(Instance::kill9);
    }
}

impl Instance {
    async fn start(&mut self, folder: &Path) {
        let own = folder.join(format!("{}.{}", self.service, self.number));
        std::fs::create_dir_all(&own).expect("the folder is ours");
        let program = self
            .variables
            .iter()
            .fold(Program::new(binary(self.service), TAKES_REQUESTS), |program, (name, value)| {
                program.env(name, value)
            });
        self.process = Some(Process::start(&program.current_dir(own)).await);
    }

    fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill9();
            self.earlier.extend(process.output());
        }
    }

    async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let status = process.stop().await;
            self.earlier.extend(process.output());
            assert!(status.success(), "{} ended with {status}", self.service);
        }
    }

    fn output(&self) -> Vec<String> {
        let now = self.process.as_ref().map(Process::output).unwrap_or_default();
        self.earlier.iter().cloned().chain(now).collect()
    }

    fn client(&self) -> Client {
        Client::new(&format!("http://{}", self.http))
    }
}

fn instances(replicas: usize) -> Vec<Instance> {
    let of = |service| (1..=replicas).map(move |number| (service, number));
    let instance = |(service, number)| Instance {
        service,
        number,
        http: free_address(),
        grpc: free_address(),
        variables: Vec::new(),
        process: None,
        earlier: Vec::new(),
    };
    SERVICES.into_iter().flat_map(of).map(instance).collect()
}

/// The gateway's settings with the instances of each service.
fn upstreams(settings: Settings, instances: &[Instance]) -> Settings {
    let servers = |service: &str| {
        let of = instances.iter().filter(|instance| instance.service == service);
        // As in the compose file.
        of.map(|instance| format!("server {} max_fails=3 fail_timeout=2s; ", instance.http))
            .collect::<String>()
    };
    settings
        .with("GATEWAY_USERS", &servers("users"))
        .with("GATEWAY_NEWS", &servers("orchestrator"))
        .with("GATEWAY_RECOMMENDATIONS", &servers("recommendations"))
}
