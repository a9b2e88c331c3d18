//! The processes of the fleet, and the settings of each. Nothing here starts a process.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::engines::VHOST;
use crate::engines::state::{CALLS, OWNER, State, free_port, is_free};

/// A service of the fleet.
#[derive(Debug)]
pub struct Service {
    /// Its name, which is also that of its binary and the first part of the names of its processes.
    pub name: &'static str,
    /// The ports that the documentation names. The first instance gets them if they are free; each further
    /// instance gets the port that is ten higher.
    http: u16,
    grpc: Option<u16>,
    /// The prefix of its routes at the gateway.
    public_base: Option<&'static str>,
}

/// All services. The service that the others ask for the keys of tokens comes first.
pub const SERVICES: [Service; 6] = [
    Service { name: "users", http: 3000, grpc: Some(50051), public_base: Some("/users/v1") },
    Service { name: "famous-news", http: 5001, grpc: None, public_base: None },
    Service { name: "politics-news", http: 5002, grpc: None, public_base: None },
    Service { name: "sports-news", http: 5003, grpc: None, public_base: None },
    Service {
        name: "recommendations",
        http: 5004,
        grpc: Some(50052),
        public_base: Some("/recommendation/v1"),
    },
    Service { name: "orchestrator", http: 5000, grpc: None, public_base: Some("/news/v1") },
];

/// Ten of each service: one more would take the port of another service.
pub const MOST_REPLICAS: u16 = 10;

/// The choices of a fleet that `up` made; `kill` and `start` use them again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The address on which the gateway listens.
    pub listen: String,
    /// The number of processes of each service.
    pub replicas: u16,
    /// The ports by the names of the instances: `users.1` for HTTP, `users.1.grpc` for gRPC.
    ports: BTreeMap<String, u16>,
    /// The engines that ran before the fleet started: `down` leaves them running.
    pub engines_before: Vec<String>,
}

/// One process of a service.
#[derive(Debug, Clone, Copy)]
pub struct Instance {
    /// Its service.
    pub service: &'static Service,
    /// Its number, from 1 on.
    pub number: u16,
}

impl Instance {
    /// Returns its name, which is also that of its folder and its log.
    pub fn name(self) -> String {
        format!("{}.{}", self.service.name, self.number)
    }
}

impl Plan {
    /// Plans a fleet on free ports.
    pub fn new(listen: &str, replicas: u16, engines_before: Vec<String>) -> Result<Self> {
        ensure!((1..=MOST_REPLICAS).contains(&replicas), "--replicas must be between 1 and {MOST_REPLICAS}");
        let mut plan = Self { listen: listen.to_owned(), replicas, ports: BTreeMap::new(), engines_before };
        let gateway = plan.gateway_port()?;
        for instance in plan.instances() {
            let further = 10 * (instance.number - 1);
            plan.settle(instance.name(), instance.service.http + further, gateway)?;
            if let Some(grpc) = instance.service.grpc {
                plan.settle(format!("{}.grpc", instance.name()), grpc + further, gateway)?;
            }
        }
        plan.settle("gateway.health".to_owned(), 8081, gateway)?;
        Ok(plan)
    }

    fn settle(&mut self, name: String, wish: u16, gateway: u16) -> Result<()> {
        let taken = |port: u16| port == gateway || self.ports.values().any(|other| *other == port);
        let port = if !taken(wish) && is_free(wish) { wish } else { free_port(taken)? };
        self.ports.insert(name, port);
        Ok(())
    }

    fn gateway_port(&self) -> Result<u16> {
        let port =
            self.listen.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).filter(|port| *port != 0);
        port.ok_or_else(|| anyhow::anyhow!("--listen must be an address and a port, such as 127.0.0.1:8080"))
    }

    /// Returns all processes in the order of their start.
    pub fn instances(&self) -> Vec<Instance> {
        let replicas = self.replicas;
        SERVICES
            .iter()
            .flat_map(|service| (1..=replicas).map(move |number| Instance { service, number }))
            .collect()
    }

    /// Returns the processes that a name stands for: `users` for all processes of that service, `users.2` for
    /// one.
    pub fn named(&self, name: &str) -> Result<Vec<Instance>> {
        let mut meant = self.instances();
        let names: Vec<_> = meant.iter().map(|instance| instance.name()).collect();
        meant.retain(|instance| instance.service.name == name || instance.name() == name);
        ensure!(!meant.is_empty(), "there is no process `{name}`; the processes are {}", names.join(", "));
        Ok(meant)
    }

    /// Returns the port of an instance, of its gRPC server (`users.1.grpc`) or of the gateway's health check.
    pub fn port(&self, name: &str) -> u16 {
        self.ports.get(name).copied().unwrap_or_else(|| panic!("`{name}` has no port in this plan"))
    }

    /// Returns the address under which clients reach the portal.
    pub fn url(&self) -> String {
        let listen = self.listen.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]");
        format!("http://{listen}")
    }

    /// Returns the addresses of all instances of a service.
    pub fn addresses(&self, service: &str) -> Vec<String> {
        let of = self.instances().into_iter().filter(|instance| instance.service.name == service);
        of.map(|instance| format!("127.0.0.1:{}", self.port(&instance.name()))).collect()
    }

    /// Returns the settings of one process: the stores of its service with its own user, the broker, the
    /// addresses of other services.
    pub fn environment(&self, instance: Instance, engines: &State, folder: &Path) -> Vec<(String, String)> {
        let service = instance.service;
        let name = instance.name();
        let mut settings = vec![
            ("PROCESS__PROFILE", "production".to_owned()),
            ("PROCESS__LISTEN", format!("127.0.0.1:{}", self.port(&name))),
            ("PROCESS__LOG_FORMAT", "json".to_owned()),
            ("BUS__URL", url(engines, "amqp", service.name, "amqp", &format!("/{VHOST}"))),
            ("IDENTITY__ISSUER", self.url()),
            ("IDENTITY__KEYS", self.keys(instance)),
        ];
        if service.grpc.is_some() {
            settings
                .push(("PROCESS__GRPC_LISTEN", format!("127.0.0.1:{}", self.port(&format!("{name}.grpc")))));
        }
        if let Some(base) = service.public_base {
            settings.push(("PROCESS__EDGE__PUBLIC_BASE", base.to_owned()));
            // The gateway, and all other programs on this machine.
            settings.push(("PROCESS__EDGE__TRUSTED_PROXIES", "127.0.0.1".to_owned()));
        }
        settings.extend(self.stores(service.name, engines, folder));
        let prefix = service.name.replace('-', "_").to_ascii_uppercase();
        let settings = settings.into_iter().map(|(key, value)| (key.to_owned(), value));
        settings
            .chain(tokens(service.name, engines))
            .map(|(key, value)| (format!("{prefix}__{key}"), value))
            .collect()
    }

    /// Returns the address of the keys of tokens. users has its own; the others ask users, through the
    /// gateway if users has several processes.
    fn keys(&self, instance: Instance) -> String {
        match (instance.service.name, self.replicas) {
            ("users", _) => format!("http://127.0.0.1:{}", self.port(&instance.name())),
            (_, 1) => format!("http://127.0.0.1:{}", self.port("users.1")),
            _ => format!("{}/users/v1", self.url()),
        }
    }

    /// Returns the addresses of all gRPC servers of a service, as its callers get them.
    fn grpc_addresses(&self, service: &str) -> String {
        let all = (1..=self.replicas)
            .map(|number| format!("http://127.0.0.1:{}", self.port(&format!("{service}.{number}.grpc"))));
        all.collect::<Vec<_>>().join(",")
    }

    fn stores(&self, service: &str, engines: &State, folder: &Path) -> Vec<(&'static str, String)> {
        let role = service.replace('-', "_");
        let postgres = || url(engines, "postgres", service, "postgres", &format!("/{role}"));
        match service {
            "users" => vec![
                ("STORE__URL", postgres()),
                ("CACHE__URL", url(engines, "redis", service, "redis-cache", "/0")),
                ("INTAKE__URL", url(engines, "redis", service, "redis-intake", "/0")),
                ("SIGNING__KEY_FILE", folder.join("signing-key.pem").display().to_string()),
            ],
            "orchestrator" => vec![("RECOMMENDATIONS__URL", self.grpc_addresses("recommendations"))],
            "recommendations" => {
                let graph =
                    format!("neo4j://neo4j:{}@127.0.0.1:{}", engines.password(OWNER), engines.port("bolt"));
                vec![("STORE__URL", graph), ("USERS__URL", self.grpc_addresses("users"))]
            }
            _ => {
                let view = format!("/{role}?authMechanism=PLAIN&authSource=$external");
                vec![
                    ("EVENTS__URL", postgres()),
                    ("VIEW__URL", url(engines, "mongodb", service, "mongodb", &view)),
                ]
            }
        }
    }
}

/// Returns the tokens with which a service authenticates over gRPC, and those by which it recognises its
/// callers.
fn tokens(service: &str, engines: &State) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let name = |service: &str| service.replace('-', "_").to_ascii_uppercase();
    for (caller, server) in CALLS {
        let token = engines.token(caller, server).to_owned();
        if service == caller {
            settings.push((format!("{}__TOKEN", name(server)), token));
        } else if service == server {
            settings.push((format!("GRPC__CALLERS__{}__TOKEN", name(caller)), token));
        }
    }
    settings
}

/// Returns the URL of an engine for the user of a service. Its name is the same in all engines, except for
/// the characters that SQL would need quotes for.
fn url(engines: &State, scheme: &str, service: &str, port: &str, rest: &str) -> String {
    let user = if scheme == "amqp" { service.to_owned() } else { service.replace('-', "_") };
    format!("{scheme}://{user}:{}@127.0.0.1:{}{rest}", engines.password(service), engines.port(port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::state::PORTS;

    fn engines() -> State {
        let mut state = State::default();
        state.complete(|_, _| true).expect("ports are free");
        state
    }

    fn plan(replicas: u16) -> Plan {
        Plan::new("127.0.0.1:28080", replicas, Vec::new()).expect("ports are free")
    }

    fn settings_of(plan: &Plan, name: &str, engines: &State) -> BTreeMap<String, String> {
        let instance = plan.named(name).expect("is there")[0];
        plan.environment(instance, engines, Path::new("/fleet")).into_iter().collect()
    }

    #[test]
    fn every_process_has_ports_of_its_own() {
        let plan = plan(3);
        assert_eq!(plan.instances().len(), 18);
        let mut ports: Vec<_> = plan.ports.values().collect();
        ports.sort();
        ports.dedup();
        assert_eq!(ports.len(), plan.ports.len());
    }

    #[test]
    fn a_name_means_a_service_or_one_process_of_it() {
        let plan = plan(2);
        let names =
            |name| plan.named(name).expect("is there").into_iter().map(Instance::name).collect::<Vec<_>>();
        assert_eq!(names("users"), ["users.1", "users.2"]);
        assert_eq!(names("sports-news.2"), ["sports-news.2"]);
        assert!(plan.named("news").expect_err("no service").to_string().contains("sports-news.1"));
        assert!(plan.named("users.3").is_err());
    }

    #[test]
    fn every_service_has_a_password_of_its_own_in_every_engine() {
        let (plan, engines) = (plan(1), engines());
        for service in &SERVICES {
            let settings = settings_of(&plan, service.name, &engines);
            for other in SERVICES.iter().filter(|other| other.name != service.name) {
                let theirs = engines.password(other.name);
                assert!(
                    settings.values().all(|value| !value.contains(theirs)),
                    "{} knows {}",
                    service.name,
                    other.name
                );
            }
            let prefix = service.name.replace('-', "_").to_ascii_uppercase();
            assert!(settings.keys().all(|key| key.starts_with(&format!("{prefix}__"))));
            assert!(settings[&format!("{prefix}__BUS__URL")].contains(engines.password(service.name)));
        }
    }

    #[test]
    fn a_section_gets_the_urls_of_its_events_and_its_view() {
        let (plan, engines) = (plan(1), engines());
        let settings = settings_of(&plan, "sports-news", &engines);
        let password = engines.password("sports-news");
        let (events, view) = (engines.port("postgres"), engines.port("mongodb"));
        assert_eq!(
            settings["SPORTS_NEWS__EVENTS__URL"],
            format!("postgres://sports_news:{password}@127.0.0.1:{events}/sports_news")
        );
        assert!(
            settings["SPORTS_NEWS__VIEW__URL"]
                .starts_with(&format!("mongodb://sports_news:{password}@127.0.0.1:{view}/sports_news?"))
        );
    }

    #[test]
    fn the_callers_over_grpc_know_every_replica() {
        let (plan, engines) = (plan(2), engines());
        let recommendations = settings_of(&plan, "recommendations", &engines);
        let orchestrator = settings_of(&plan, "orchestrator", &engines);
        for number in [1, 2] {
            let address = |service: &str| {
                format!("http://127.0.0.1:{}", plan.port(&format!("{service}.{number}.grpc")))
            };
            let knows = |urls: &str, service: &str| urls.split(',').any(|one| one == address(service));
            assert!(knows(&recommendations["RECOMMENDATIONS__USERS__URL"], "users"));
            assert!(knows(&orchestrator["ORCHESTRATOR__RECOMMENDATIONS__URL"], "recommendations"));
        }
        assert_eq!(recommendations["RECOMMENDATIONS__IDENTITY__KEYS"], "http://127.0.0.1:28080/users/v1");
    }

    #[test]
    fn only_the_two_ends_of_a_call_know_its_token() {
        let (plan, engines) = (plan(1), engines());
        for (caller, server) in CALLS {
            let token = engines.token(caller, server);
            for service in &SERVICES {
                let knows = settings_of(&plan, service.name, &engines).values().any(|value| value == token);
                assert_eq!(knows, [caller, server].contains(&service.name), "{}", service.name);
            }
        }
        assert_eq!(settings_of(&plan, "users", &engines)["USERS__PROCESS__PROFILE"], "production");
    }

    #[test]
    fn the_issuer_is_the_address_that_clients_know() {
        assert_eq!(plan(1).url(), "http://127.0.0.1:28080");
        let open = Plan::new("0.0.0.0:28080", 1, Vec::new()).expect("ports are free");
        assert_eq!(open.url(), "http://127.0.0.1:28080");
        assert!(
            Plan::new("8080", 1, Vec::new()).is_err() && Plan::new("127.0.0.1:0", 1, Vec::new()).is_err()
        );
        assert!(Plan::new("127.0.0.1:28080", 0, Vec::new()).is_err());
    }

    #[test]
    fn a_service_uses_every_port_of_the_engines() {
        // A port that no service uses would belong to a server that is not needed.
        let (plan, engines) = (plan(1), engines());
        let all: String =
            SERVICES.iter().flat_map(|it| settings_of(&plan, it.name, &engines).into_values()).collect();
        for name in PORTS.iter().filter(|name| !["amqp-management", "epmd", "erlang"].contains(name)) {
            assert!(all.contains(&format!("127.0.0.1:{}", engines.port(name))), "{name}");
        }
    }
}
