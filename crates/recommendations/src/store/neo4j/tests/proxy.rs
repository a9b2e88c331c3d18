//! A proxy whose connections can be cut and frozen.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

#[derive(Clone, Copy, PartialEq)]
enum Line {
    /// Bytes pass.
    Open,
    /// Connections break, also new ones.
    Cut,
    /// Connections stay open, but no bytes pass.
    Frozen,
}

/// A proxy before a server, until it is dropped.
pub struct Proxy {
    address: SocketAddr,
    line: watch::Sender<Line>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// Opens a proxy before the server at `host:port`.
    pub async fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("an address");
        let (line, state) = watch::channel(Line::Open);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, server.to_owned(), state));
        Self { address, line, _accepting: accepting }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn cut(&self) {
        self.line.send_replace(Line::Cut);
    }

    pub fn freeze(&self) {
        self.line.send_replace(Line::Frozen);
    }

    pub fn restore(&self) {
        self.line.send_replace(Line::Open);
    }
}

async fn accept(listener: TcpListener, server: String, line: watch::Receiver<Line>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.expect("a connection");
        connections.spawn(copy(client, server.clone(), line.clone()));
    }
}

/// Copies bytes until the line is cut. A frozen connection never thaws, and its bytes are lost, as with a
/// dead route.
async fn copy(mut client: TcpStream, server: String, mut line: watch::Receiver<Line>) {
    if *line.borrow() == Line::Open
        && let Ok(mut upstream) = TcpStream::connect(&server).await
    {
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut upstream) => return,
            changed = line.wait_for(|line| *line != Line::Open) => drop(changed),
        }
        if *line.borrow() == Line::Frozen {
            // Both ends stay open and receive nothing until the line is cut or the test ends.
            let _ = line.wait_for(|line| *line == Line::Cut).await;
        }
    } else if *line.borrow() == Line::Frozen {
        let _ = line.wait_for(|line| *line != Line::Frozen).await;
    }
}
