//! The gateway under test: the real nginx with the templates of `nginx/`, on its own ports and in its own
//! folder.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use testkit::{Client, Folder, Process, Program, free_address, program};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{repository, text};

/// An upstream on which no program listens.
pub const UNREACHABLE: &str = "server 127.0.0.1:1 max_fails=0;";

/// The gateway's variables: those of `nginx/gateway.env` with the changes of a test.
#[derive(Debug, Clone)]
pub struct Settings(BTreeMap<String, String>);

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}

impl Settings {
    /// Returns the documented variables with the folders of this machine and without any service.
    pub fn as_documented() -> Self {
        Self(documented())
            .with("GATEWAY_WORKERS", "2")
            .with("GATEWAY_HTML", &repository("nginx/html").display().to_string())
            .with("GATEWAY_RESOLVER", "")
            .with("GATEWAY_USERS", UNREACHABLE)
            .with("GATEWAY_NEWS", UNREACHABLE)
            .with("GATEWAY_RECOMMENDATIONS", UNREACHABLE)
    }

    /// Returns the documented variables without the limits that a test could reach by accident.
    pub fn new() -> Self {
        Self::as_documented()
            .with("GATEWAY_RATE", "100000r/s")
            .with("GATEWAY_BURST", "100000")
            .with("GATEWAY_WRITE_RATE", "100000r/s")
            .with("GATEWAY_WRITE_BURST", "100000")
            .with("GATEWAY_COSTLY_RATE", "100000r/s")
            .with("GATEWAY_COSTLY_BURST", "100000")
            .with("GATEWAY_IN_HAND", "10000")
    }

    /// Changes one variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Fills a template as `envsubst` of the official image does it: only variables that are set are
    /// replaced.
    pub fn fill(&self, template: &str) -> String {
        self.0
            .iter()
            .fold(template.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
    }
}

/// Returns the variables of `nginx/gateway.env`.
pub fn documented() -> BTreeMap<String, String> {
    let line = |line: &str| {
        let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("`{line}` sets no variable"));
        (name.to_owned(), value.to_owned())
    };
    text("nginx/gateway.env").lines().filter(|l| !l.is_empty() && !l.starts_with('#')).map(line).collect()
}

/// Returns the names and texts of all templates.
pub fn templates() -> Vec<(String, String)> {
    let folder = repository("nginx/templates");
    let entries = std::fs::read_dir(&folder).expect("the folder of the templates is there");
    let mut found: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("an entry of a folder").path();
            let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("a template is text"))
        })
        .collect();
    found.sort();
    found
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    process: Process,
    client: Client,
    health: Client,
    address: SocketAddr,
    // Dropped after the process, so that the folder exists while nginx ends.
    _folder: Folder,
}

impl Gateway {
    /// Starts nginx and waits until it accepts connections.
    pub async fn start(settings: Settings) -> Self {
        Self::start_at(free_address(), settings).await
    }

    /// Starts nginx at an address that the services already know.
    pub async fn start_at(address: SocketAddr, settings: Settings) -> Self {
        let (folder, health) = (Folder::new(), free_address());
        let settings = settings
            .with("GATEWAY_LISTEN", &address.to_string())
            .with("GATEWAY_HEALTH_LISTEN", &health.to_string());
        for (name, template) in templates() {
            std::fs::write(folder.join(&name), settings.fill(&template))
                .expect("the folder can be written to");
        }
        let process = Process::start(&nginx(folder.path())).await;
        let client = |address: SocketAddr| Client::new(&format!("http://{address}"));
        Self { process, client: client(address), health: client(health), address, _folder: folder }
    }

    /// Returns the URL of the gateway, without a slash at the end.
    pub fn url(&self) -> &str {
        self.client.base()
    }

    /// Returns a client of the gateway.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the id of the main process, whose children are the workers.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Returns a client of the gateway's health and counters.
    pub fn health(&self) -> &Client {
        &self.health
    }

    /// Returns the output so far.
    pub fn output(&self) -> Vec<String> {
        self.process.output()
    }

    /// Sends these bytes over a new connection and returns everything until the connection is closed.
    pub async fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("the gateway accepts connections");
        // The gateway may respond and close before it has read everything.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Sends a GET for exactly this address. Other clients normalise addresses before they send them.
    pub async fn raw_get(&self, address: &str) -> String {
        let request = format!("GET {address} HTTP/1.1\r\nHost: portal\r\nConnection: close\r\n\r\n");
        self.raw(request.as_bytes()).await
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Its workers would outlive a SIGKILL.
        self.process.end();
    }
}

fn nginx(folder: &Path) -> Program {
    // At this log level nginx reports when it is ready. If it runs as root, its workers would switch to a
    // user that can't read the test's folder. For other users the line has no effect.
    let globals = "daemon off; user root; error_log /dev/stdout notice;";
    Program::new(program("NGINX"), "start worker processes")
        .args(["-e", "stderr", "-g", globals, "-p"])
        .args([folder.as_os_str(), "-c".as_ref(), folder.join("nginx.conf").as_os_str()])
}
