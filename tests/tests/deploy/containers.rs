//! The rules for every container of production.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::compose::{Compose, SERVICES, by_default, production, read};
use crate::{program, repository, text};

/// The stores of each service, which no other service uses.
const STORES: [(&str, &[&str]); 5] = [
    ("users", &["users-postgres", "users-cache", "users-intake"]),
    ("famous-news", &["famous-news-postgres", "famous-news-mongo"]),
    ("politics-news", &["politics-news-postgres", "politics-news-mongo"]),
    ("sports-news", &["sports-news-postgres", "sports-news-mongo"]),
    ("recommendations", &["recommendations-neo4j"]),
];

/// Returns the containers that share a network with a container, which are those that it can reach.
fn reachable<'a>(compose: &'a Compose, name: &str) -> BTreeSet<&'a str> {
    let own: BTreeSet<_> = compose.container(name).networks.iter().collect();
    let others = compose.services.iter().filter(|(other, _)| *other != name);
    others
        .filter(|(_, other)| other.networks.iter().any(|network| own.contains(network)))
        .map(|(other, _)| other.as_str())
        .collect()
}

#[test]
fn every_component_has_its_own_container() {
    let compose = production();
    let stores = STORES.iter().flat_map(|(_, stores)| *stores).copied();
    let expected: BTreeSet<_> = SERVICES.into_iter().chain(stores).chain(["gateway", "rabbitmq"]).collect();
    assert_eq!(compose.services.keys().map(String::as_str).collect::<BTreeSet<_>>(), expected);
}

#[test]
fn every_image_is_an_official_one_at_a_version() {
    let official = [
        ("gateway", "nginx:1.28"),
        ("postgres", "postgres:17"),
        ("mongo", "mongo:7"),
        ("cache", "redis:7"),
        ("intake", "redis:7"),
        ("neo4j", "neo4j:5.26-community"),
        ("rabbitmq", "rabbitmq:4-management"),
    ];
    for (name, container) in &production().services {
        let image = by_default(&container.image);
        if SERVICES.contains(&name.as_str()) {
            assert!(container.build.is_some() && image == "news-portal:0.1.0", "{name}: {image}");
            continue;
        }
        let kind = official.iter().find(|(end, _)| name.ends_with(end));
        assert_eq!(Some(image.as_str()), kind.map(|(_, image)| *image), "{name}");
    }
}

#[test]
fn only_the_gateway_publishes_a_port() {
    for (name, container) in &production().services {
        assert_eq!(container.ports.is_empty(), name != "gateway", "{name}");
    }
    assert_eq!(by_default(&production().container("gateway").ports[0]), "127.0.0.1:8080:8080");
}

#[test]
fn every_container_has_a_health_check_and_restarts_automatically() {
    for (name, container) in &production().services {
        let check = container.healthcheck.as_ref().unwrap_or_else(|| panic!("{name} has no health check"));
        assert!(matches!(check.test[0].as_str(), "CMD" | "CMD-SHELL") && check.test.len() > 1, "{name}");
        assert_eq!(container.restart.as_deref(), Some("unless-stopped"), "{name}");
        assert!(container.security_opt.contains(&"no-new-privileges:true".to_owned()), "{name}");
    }
}

#[test]
fn every_container_has_a_limit_of_memory_and_of_processors() {
    for (name, container) in &production().services {
        let limits = container.deploy.as_ref().map(|deploy| &deploy.resources.limits);
        let limits = limits.unwrap_or_else(|| panic!("{name} has no limits"));
        assert!(limits.cpus.parse::<f64>().is_ok_and(|cpus| cpus > 0.0), "{name}");
        assert!(limits.memory.ends_with(['M', 'G']), "{name}");
    }
}

#[test]
fn a_container_runs_unprivileged_with_a_read_only_file_system_and_checks_its_own_readiness() {
    let compose = production();
    for name in SERVICES {
        let service = compose.container(name);
        assert_eq!((service.user.as_deref(), service.read_only), (Some("10001:10001"), true), "{name}");
        assert_eq!(
            (service.cap_drop.as_slice(), service.command.as_slice()),
            (&["ALL".to_owned()][..], &[name.to_owned()][..])
        );
        let prefix = name.replace('-', "_").to_ascii_uppercase();
        let listen = &service.environment[&format!("{prefix}__PROCESS__LISTEN")];
        let url = format!("http://127.0.0.1:{}", listen.trim_start_matches("0.0.0.0:"));
        let check = service.healthcheck.as_ref().map(|check| check.test.clone());
        assert_eq!(check, Some(["CMD", "portal", "healthcheck", &url].map(str::to_owned).to_vec()), "{name}");
        // No mount of the host and no volume: a service keeps its data in its stores.
        assert_eq!(service.volumes, Vec::<String>::new(), "{name}");
    }
    let gateway = compose.container("gateway");
    assert!(gateway.read_only && gateway.user.is_some() && gateway.cap_drop == ["ALL"]);
}

#[test]
fn a_container_waits_until_its_dependencies_are_healthy_and_no_dependencies_are_circular() {
    let compose = production();
    for (name, container) in &compose.services {
        for (other, wait) in &container.depends_on {
            assert!(compose.services.contains_key(other), "{name} waits for {other}, which is not there");
            assert_eq!(wait.condition, "service_healthy", "{name} on {other}");
        }
    }
    for (service, stores) in STORES {
        let waits = &compose.container(service).depends_on;
        for store in stores.iter().chain(&["rabbitmq"]) {
            assert!(waits.contains_key(*store), "{service} does not wait for {store}");
        }
    }
    // Containers whose dependencies have started can start. This repeats until all have started.
    let mut waiting: BTreeMap<&str, BTreeSet<&str>> = compose
        .services
        .iter()
        .map(|(name, container)| (name.as_str(), container.depends_on.keys().map(String::as_str).collect()))
        .collect();
    while !waiting.is_empty() {
        let ready: Vec<_> = waiting.iter().filter(|(_, on)| on.is_empty()).map(|(name, _)| *name).collect();
        assert!(!ready.is_empty(), "they wait for each other: {waiting:?}");
        waiting.retain(|name, _| !ready.contains(name));
        waiting.values_mut().for_each(|on| on.retain(|name| !ready.contains(name)));
    }
}

#[test]
fn only_its_own_service_can_reach_a_store() {
    let compose = production();
    for (service, stores) in STORES {
        for store in stores {
            let siblings = stores.iter().filter(|other| *other != store).copied();
            let expected: BTreeSet<_> = siblings.chain([service]).collect();
            assert_eq!(reachable(&compose, store), expected, "{store}");
        }
    }
    assert_eq!(reachable(&compose, "rabbitmq"), SERVICES.into_iter().collect());
    assert_eq!(
        reachable(&compose, "gateway"),
        ["users", "orchestrator", "recommendations"].into(),
        "the sections are called over the broker, and never by the gateway"
    );
}

#[test]
fn only_the_gateway_is_connected_to_the_public_network() {
    let compose = production();
    for (name, network) in &compose.networks {
        let internal = network.as_ref().is_some_and(|network| network.internal);
        assert_eq!(internal, name != "public", "{name}");
    }
    for (name, container) in &compose.services {
        assert_eq!(container.networks.contains(&"public".to_owned()), name == "gateway", "{name}");
    }
}

#[test]
fn every_named_part_is_defined_and_every_defined_part_is_named() {
    let compose = production();
    let (mut secrets, mut volumes, mut networks) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (name, container) in &compose.services {
        secrets.extend(container.secrets.iter().cloned());
        networks.extend(container.networks.iter().cloned());
        for file in &container.env_file {
            assert!(repository(file).is_file(), "{name}: {file} is not there");
        }
        for volume in &container.volumes {
            let source = volume.split(':').next().unwrap_or_default();
            match source.strip_prefix("./") {
                Some(path) => {
                    assert!(repository(path).exists(), "{name}: {path} is not there");
                    assert!(volume.ends_with(":ro"), "{name}: {path} can be written to");
                }
                None => drop(volumes.insert(source.to_owned())),
            }
        }
        // A variable that names the file of a secret is only valid if the container has that secret.
        let words = container.environment.values().chain(&container.command);
        for path in words.filter(|word| word.starts_with("/run/secrets/")) {
            let secret = path.trim_start_matches("/run/secrets/").to_owned();
            assert!(container.secrets.contains(&secret), "{name} reads {path}, and is not given it");
        }
    }
    assert_eq!(secrets, compose.secrets.keys().cloned().collect());
    assert_eq!(volumes, compose.volumes.keys().cloned().collect());
    assert_eq!(networks, compose.networks.keys().cloned().collect());
}

#[test]
fn the_cache_may_evict_and_the_intake_never_does() {
    let compose = production();
    let assert_arguments = |name: &str, words: [&str; 2]| {
        let found = compose.container(name).command.windows(2).any(|pair| pair == words);
        assert!(found, "{name} does not say {words:?}");
    };
    assert_arguments("users-cache", ["--appendonly", "no"]);
    assert_arguments("users-cache", ["--maxmemory-policy", "allkeys-lru"]);
    assert_arguments("users-intake", ["--appendonly", "yes"]);
    assert_arguments("users-intake", ["--appendfsync", "always"]);
    assert_arguments("users-intake", ["--maxmemory-policy", "noeviction"]);
    assert!(compose.container("users-intake").volumes.iter().any(|volume| volume.ends_with(":/data")));
}

#[test]
fn the_gateway_uses_the_addresses_at_which_the_instances_listen() {
    let compose = production();
    let documented = crate::gateway::documented();
    for (variable, service) in [
        ("GATEWAY_USERS", "users"),
        ("GATEWAY_NEWS", "orchestrator"),
        ("GATEWAY_RECOMMENDATIONS", "recommendations"),
    ] {
        let prefix = service.to_ascii_uppercase();
        let listen = &compose.container(service).environment[&format!("{prefix}__PROCESS__LISTEN")];
        let port = listen.trim_start_matches("0.0.0.0:");
        let server = format!("server {service}:{port} resolve max_fails=3 fail_timeout=2s;");
        assert_eq!(documented[variable], server);
    }
}

#[test]
fn the_override_names_only_existing_parts_and_publishes_only_to_this_machine() {
    let production = production();
    for name in ["docker-compose.consoles.yml", "docker-compose.test.yml"] {
        let over = read(name);
        for (service, container) in &over.services {
            assert!(production.services.contains_key(service), "{name}: {service}");
            for network in &container.networks {
                assert!(production.networks.contains_key(network), "{name}: {network}");
            }
            for port in &container.ports {
                assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
            }
        }
        for volume in over.volumes.keys() {
            assert!(production.volumes.contains_key(volume), "{name}: {volume}");
        }
    }
    let test = read("docker-compose.test.yml");
    assert!(test.volumes.keys().eq(production.volumes.keys()), "a store of a test leaves something behind");
}

#[test]
#[ignore = "needs docker-compose"]
fn compose_itself_knows_every_key() {
    let program = program("COMPOSE");
    for over in [None, Some("docker-compose.consoles.yml"), Some("docker-compose.test.yml")] {
        let mut compose = Command::new(&program);
        compose.current_dir(repository(".")).args(["-f", "docker-compose.yml"]);
        compose.args(over.iter().flat_map(|file| ["-f", file])).args(["config", "-q"]);
        let output = compose.output().expect("the program can be run");
        let assert_arguments = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && assert_arguments.is_empty(), "{over:?}: {assert_arguments}");
    }
}

#[test]
fn the_files_hold_no_secret() {
    for name in
        ["docker-compose.yml", "docker-compose.test.yml", "docker-compose.consoles.yml", "nginx/gateway.env"]
    {
        for line in text(name).lines().filter(|line| !line.trim_start().starts_with('#')) {
            // A password is set by the path of a file. So is an address that contains a password.
            let lower = line.to_ascii_lowercase();
            let tells = lower.contains("password: ") && !lower.contains("{ file: secrets/")
                || lower.contains("password=");
            let address = lower.split_once("://").is_some_and(|(_, rest)| rest.contains('@'));
            assert!(!tells && !address, "{name}: {line}");
        }
    }
}
