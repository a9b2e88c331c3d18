//! `cargo xtask fleet`: the six services and the gateway as processes on the engines of this checkout.

mod admin;
mod build;
mod gateway;
mod logs;
mod plan;
mod seed;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::engines::place::{target, write_private};
use crate::engines::process::{Runner, pause};
use crate::engines::site::{PATIENCE, Site};
use crate::engines::{self, How, probe};
use crate::step::seconds;
use admin::Admin;
use plan::{Instance, Plan};

/// The time that a process has to finish its work: a little more than twice the services' grace.
const STOP_GRACE: Duration = Duration::from_secs(25);

/// Attempts to start a process that ends before it is ready.
const ATTEMPTS: u32 = 5;

/// Run the portal as in production, on this machine: six services, the gateway, the real servers.
#[derive(Debug, clap::Args)]
pub struct Fleet {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Build, start what doesn't run, and return when everything is ready
    Up {
        /// The address on which the gateway listens
        #[arg(long, default_value = "127.0.0.1:8080")]
        listen: String,
        /// The number of processes of each service
        #[arg(long, default_value_t = 1)]
        replicas: u16,
        /// Build with optimisations
        #[arg(long)]
        release: bool,
        /// Use the existing binaries
        #[arg(long)]
        no_build: bool,
        /// Install without asking what the engines need
        #[arg(long)]
        yes: bool,
    },
    /// Stop the fleet in order, and the engines that it started; the data stays
    Down {
        /// Leave the engines running
        #[arg(long)]
        keep_engines: bool,
    },
    /// Fill the portal with three months of news, and with people who write and read them; run it again to
    /// continue an interrupted seed
    Seed(seed::Seed),
    /// Show what runs, on which port, and whether it is ready
    Status,
    /// Show the last log lines of the processes
    Logs(logs::Logs),
    /// Kill a process, like a crash (SIGKILL)
    Kill {
        /// A service, one process of it such as users.2, or gateway
        service: String,
    },
    /// Stop a process in order (SIGTERM)
    Stop {
        /// A service, one process of it such as users.2, or gateway
        service: String,
    },
    /// Start a process again, and return when it is ready
    Start {
        /// A service, one process of it such as users.2, or gateway
        service: String,
    },
}

impl Fleet {
    /// Runs the chosen command.
    pub fn run(self) -> Result<ExitCode> {
        let folder = target()?.join("fleet");
        let runner = Runner::new(&folder)?.keeping_logs();
        let fleet = FleetFolder { folder, runner };
        match self.action {
            Action::Up { listen, replicas, release, no_build, yes } => {
                let binaries = build::folder(release)?;
                let plan = fleet.settle(&listen, replicas)?;
                if !no_build {
                    build::binaries(release)?;
                }
                engines::up(&How { yes, docker: false }, false)?;
                fleet.up(plan, &binaries)?;
            }
            Action::Down { keep_engines } => fleet.down(keep_engines)?,
            Action::Seed(seed) => fleet.seed(&seed)?,
            Action::Status => return fleet.status(),
            Action::Logs(logs) => logs.show(&fleet.runner)?,
            Action::Kill { service } => fleet.end(&service, |name| fleet.runner.kill(name))?,
            Action::Stop { service } => {
                fleet.end(&service, |name| fleet.runner.stop(name, Signal::TERM, STOP_GRACE))?
            }
            Action::Start { service } => fleet.start(&service)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The folder of the fleet, and the runner of its processes.
struct FleetFolder {
    folder: PathBuf,
    runner: Runner,
}

/// A fleet with everything that is needed to start one of its processes.
struct Ready {
    plan: Plan,
    site: Site,
    admin: Admin,
    binaries: PathBuf,
}

impl FleetFolder {
    /// Returns the plan of the running fleet if its options are the same, otherwise a new plan. Fails if a
    /// fleet with other options runs.
    fn settle(&self, listen: &str, replicas: u16) -> Result<Plan> {
        let running = self.runner.all_running();
        let plan = match self.plan()?.filter(|_| !running.is_empty()) {
            Some(plan) if (plan.listen.as_str(), plan.replicas) == (listen, replicas) => plan,
            Some(plan) => bail!(
                "a fleet with --listen {} --replicas {} already runs: stop it with `cargo xtask fleet down`",
                plan.listen,
                plan.replicas
            ),
            None => {
                self.runner.remove_old_logs()?;
                Plan::new(listen, replicas, engines::running()?)?
            }
        };
        if self.runner.running(gateway::NAME).is_none() {
            let free = TcpListener::bind(&plan.listen);
            free.with_context(|| {
                format!("the gateway can't listen on {}: choose another address with --listen", plan.listen)
            })?;
        }
        self.save(&plan)?;
        Ok(plan)
    }

    fn up(&self, plan: Plan, binaries: &Path) -> Result<()> {
        // `start` uses the same binaries later.
        std::fs::write(self.folder.join("binaries"), binaries.display().to_string())
            .context("the folder of the fleet")?;
        let ready = self.ready(plan)?;
        let start = Instant::now();
        // The first process creates the signing key, and all others ask it for the public key.
        let (first, others): (Vec<_>, Vec<_>) =
            ready.plan.instances().into_iter().partition(|it| it.name() == "users.1");
        self.launch(&ready, &first)?;
        self.launch(&ready, &others)?;
        self.launch_gateway(&ready.plan)?;
        say!("fleet: up after {}, building and engines not counted", seconds(start.elapsed()));
        say!("{}", ready.admin.line());
        say!("{}", ready.plan.url());
        Ok(())
    }

    fn down(&self, keep_engines: bool) -> Result<()> {
        let start = Instant::now();
        // From the outside in: callers stop before the services that they call.
        self.runner.stop(gateway::NAME, Signal::TERM, STOP_GRACE);
        let running = self.runner.all_running();
        std::thread::scope(|scope| {
            for name in &running {
                scope.spawn(move || {
                    self.runner.stop(name, Signal::TERM, STOP_GRACE);
                    say!("{name:<20}down   {:>7}", seconds(start.elapsed()));
                });
            }
        });
        say!("fleet: down after {}", seconds(start.elapsed()));
        match self.plan()? {
            Some(plan) if !keep_engines => engines::down(&plan.engines_before),
            _ => Ok(()),
        }
    }

    /// Fills the portal with the program that was built together with those of the fleet.
    fn seed(&self, seed: &seed::Seed) -> Result<()> {
        let plan = self.existing_plan()?;
        ensure!(
            !self.runner.all_running().is_empty(),
            "the fleet and its stores do not run: start them with `cargo xtask fleet up`"
        );
        let ready = self.ready(plan)?;
        seed.run(&ready.binaries.join("portal"), &ready.plan, &ready.site.state, &self.folder)
    }

    fn status(&self) -> Result<ExitCode> {
        let Some(plan) = self.plan()? else {
            say!("fleet: never started here; `cargo xtask fleet up` starts it");
            return Ok(ExitCode::FAILURE);
        };
        let mut all = true;
        let mut say = |name: &str, port: u16, path: &str| {
            let state = match (self.runner.running(name), probe::http(port, path, None)) {
                (None, _) => "down".to_owned(),
                (Some(pid), Some(200)) => format!("ready      {pid:>8}  127.0.0.1:{port}"),
                (Some(pid), _) => format!("not ready  {pid:>8}  127.0.0.1:{port}"),
            };
            all &= state.starts_with("ready");
            say!("{name:<20}{state}");
        };
        for instance in plan.instances() {
            say(&instance.name(), plan.port(&instance.name()), "/readyz");
        }
        say(gateway::NAME, plan.port("gateway.health"), "/livez");
        say!("{}", plan.url());
        Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn end(&self, service: &str, how: impl Fn(&str) -> bool) -> Result<()> {
        let names = match service {
            gateway::NAME => vec![service.to_owned()],
            _ => self.existing_plan()?.named(service)?.into_iter().map(Instance::name).collect(),
        };
        for name in names {
            let start = Instant::now();
            let state = if how(&name) { "down" } else { "did not run" };
            say!("{name:<20}{state:<7}{:>7}", seconds(start.elapsed()));
        }
        Ok(())
    }

    fn start(&self, service: &str) -> Result<()> {
        if service == gateway::NAME {
            return self.launch_gateway(&self.existing_plan()?);
        }
        let ready = self.ready(self.existing_plan()?)?;
        let meant = ready.plan.named(service)?;
        self.launch(&ready, &meant)
    }

    /// Starts the processes that don't run, in parallel, and waits until each is ready.
    fn launch(&self, ready: &Ready, instances: &[Instance]) -> Result<()> {
        let results: Vec<Result<()>> = std::thread::scope(|scope| {
            let launches = instances.iter().map(|instance| scope.spawn(|| self.launch_one(ready, *instance)));
            let launches: Vec<_> = launches.collect();
            launches
                .into_iter()
                .map(|thread| thread.join().expect("starting a service doesn't panic"))
                .collect()
        });
        let failures: Vec<_> =
            results.iter().filter_map(|it| it.as_ref().err()).map(|it| format!("{it:#}")).collect();
        ensure!(failures.is_empty(), "{}", failures.join("\n"));
        Ok(())
    }

    /// Starts one process, and starts it again if it ends before it is ready, as a container engine would. On
    /// a busy machine, a store that has just started may answer too late.
    fn launch_one(&self, ready: &Ready, instance: Instance) -> Result<()> {
        let (name, start) = (instance.name(), Instant::now());
        let port = ready.plan.port(&name);
        let is_ready = || probe::http(port, "/readyz", None) == Some(200);
        for attempt in 1.. {
            if self.runner.running(&name).is_none() {
                self.spawn(ready, instance)?;
            }
            match self.runner.wait_ready(&name, PATIENCE, is_ready) {
                Ok(()) => break,
                Err(error) if attempt == ATTEMPTS || self.runner.running(&name).is_some() => {
                    return Err(error);
                }
                Err(_) => say!("{name:<20}ended before it was ready: starting it again"),
            }
            pause(Duration::from_secs(1));
        }
        say!("{name:<20}ready  {:>7}  127.0.0.1:{port}", seconds(start.elapsed()));
        Ok(())
    }

    fn spawn(&self, ready: &Ready, instance: Instance) -> Result<()> {
        let name = instance.name();
        let folder = self.folder.join(&name);
        std::fs::create_dir_all(&folder).with_context(|| format!("the folder {}", folder.display()))?;
        let mut command = Command::new(ready.binaries.join(instance.service.name));
        command.current_dir(&folder).envs(ready.plan.environment(instance, &ready.site.state, &self.folder));
        if instance.service.name == "users" {
            command.envs(ready.admin.environment());
        }
        self.runner.spawn(&name, command)
    }

    fn launch_gateway(&self, plan: &Plan) -> Result<()> {
        let start = Instant::now();
        if self.runner.running(gateway::NAME).is_none() {
            self.runner.spawn(gateway::NAME, gateway::command(plan, &self.folder.join(gateway::NAME))?)?;
        }
        let port = plan.port("gateway.health");
        self.runner.wait_ready(gateway::NAME, PATIENCE, || probe::http(port, "/livez", None) == Some(200))?;
        say!("{:<20}ready  {:>7}  {}", gateway::NAME, seconds(start.elapsed()), plan.listen);
        Ok(())
    }

    fn ready(&self, plan: Plan) -> Result<Ready> {
        let Some(site) = Site::existing()? else {
            bail!("the engines were never started here: run `cargo xtask fleet up`")
        };
        let binaries = std::fs::read_to_string(self.folder.join("binaries"))
            .context("the fleet was never built: run `cargo xtask fleet up`")?;
        let admin = Admin::settle(&self.folder)?;
        Ok(Ready { plan, site, admin, binaries: PathBuf::from(binaries) })
    }

    /// Reads the plan of the last `up`.
    fn plan(&self) -> Result<Option<Plan>> {
        match std::fs::read_to_string(self.folder.join("plan.json")) {
            Ok(text) => serde_json::from_str(&text).context("the plan of the fleet").map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("the plan of the fleet"),
        }
    }

    fn existing_plan(&self) -> Result<Plan> {
        self.plan()?.context("no fleet was started here: run `cargo xtask fleet up`")
    }

    fn save(&self, plan: &Plan) -> Result<()> {
        write_private(
            &self.folder.join("plan.json"),
            &serde_json::to_string_pretty(plan).context("the plan as JSON")?,
        )
    }
}
