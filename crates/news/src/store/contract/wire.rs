//! A network between a store and its server that tests can interrupt.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Cut,
    Silent,
}

/// The network between a store and its server, which a test can cut and silence.
pub struct Wire {
    url: String,
    state: watch::Sender<State>,
    _running: JoinSet<()>,
}

impl Wire {
    /// Creates a network to the server that `url` names.
    pub async fn to(url: &str) -> Self {
        let (before, rest) = url.split_once('@').expect("a URL with a user");
        let (server, after) = rest.split_once('/').expect("a URL with a path");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let here = listener.local_addr().expect("it has an address");
        let state = watch::Sender::new(State::Open);
        let mut running = JoinSet::new();
        running.spawn(serve(listener, server.parse().expect("the address of a server"), state.subscribe()));
        Self { url: format!("{before}@{here}/{after}"), state, _running: running }
    }

    /// Returns the server's URL through this network.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends all connections, and new ones immediately, as during a restart of the server.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Drops all data without closing anything: on the open connections forever, and on new ones.
    pub fn silence(&self) {
        self.state.send_replace(State::Silent);
    }

    /// Lets new connections work.
    pub fn mend(&self) {
        self.state.send_replace(State::Open);
    }
}

async fn serve(listener: TcpListener, server: SocketAddr, state: watch::Receiver<State>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(carry(client, server, state.clone()));
    }
}

async fn carry(mut client: TcpStream, server: SocketAddr, mut state: watch::Receiver<State>) {
    let now = *state.borrow_and_update();
    if now == State::Open {
        let Ok(mut server) = TcpStream::connect(server).await else { return };
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut server) => return,
            _ = state.changed() => {}
        }
    }
    if *state.borrow() == State::Silent {
        std::future::pending().await
    }
}
