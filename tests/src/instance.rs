//! The processes of a fleet.

use std::net::SocketAddr;
use std::path::Path;

use testkit::{Client, Process, Program, binary, free_address};

/// The services, in the order of starting. Users is the first, because it creates the key that signs tokens.
pub const SERVICES: [&str; 6] =
    ["users", "famous-news", "politics-news", "sports-news", "recommendations", "orchestrator"];

/// The log message, as JSON, of a service that accepts requests.
const READY_MESSAGE: &str = "\"message\":\"ready\"";

/// One process of a service.
pub(crate) struct Instance {
    pub(crate) service: &'static str,
    pub(crate) number: usize,
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) process: Option<Process>,
    /// The output of its earlier processes.
    earlier: Vec<String>,
}

impl Instance {
    /// Starts a process, and waits until it is ready.
    pub(crate) async fn start(&mut self, folder: &Path) {
        let own = folder.join(format!("{}.{}", self.service, self.number));
        std::fs::create_dir_all(&own).expect("the folder is ours");
        let program = self
            .variables
            .iter()
            .fold(Program::new(binary(self.service), READY_MESSAGE), |program, (name, value)| {
                program.env(name, value)
            });
        self.process = Some(Process::start(&program.current_dir(own)).await);
    }

    /// Kills the process, as the kernel does without memory.
    pub(crate) fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill9();
            self.earlier.extend(process.output());
        }
    }

    /// Stops the process, which must end well.
    pub(crate) async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let status = process.stop().await;
            self.earlier.extend(process.output());
            assert!(status.success(), "{} ended with {status}", self.service);
        }
    }

    /// Returns the lines of all of its processes.
    pub(crate) fn output(&self) -> Vec<String> {
        let now = self.process.as_ref().map(Process::output).unwrap_or_default();
        self.earlier.iter().cloned().chain(now).collect()
    }

    /// Returns a client of this instance.
    pub(crate) fn client(&self) -> Client {
        Client::new(&format!("http://{}", self.http))
    }
}

/// Returns the instances of all services, with addresses of their own. None of them runs.
pub(crate) fn instances(replicas: usize) -> Vec<Instance> {
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
