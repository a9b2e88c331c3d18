//! A wire that can be cut and frozen.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

#[derive(Clone, Copy, PartialEq)]
enum Wire {
    /// Bytes pass.
    Whole,
    /// Connections break, new ones too.
    Cut,
    /// Connections stay, nothing passes.
    Frozen,
}

/// Stands before a server until it is dropped.
pub struct Proxy {
    address: SocketAddr,
    wire: watch::Sender<Wire>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// A whole wire to the server at `host:port`.
    pub async fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("an address");
        let (wire, state) = watch::channel(Wire::Whole);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, server.to_owned(), state));
        Self { address, wire, _accepting: accepting }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn cut(&self) {
        self.wire.send_replace(Wire::Cut);
    }

    pub fn freeze(&self) {
        self.wire.send_replace(Wire::Frozen);
    }

    pub fn heal(&self) {
        self.wire.send_replace(Wire::Whole);
    }
}

async fn accept(listener: TcpListener, server: String, wire: watch::Receiver<Wire>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.expect("a connection");
        connections.spawn(carry(client, server.clone(), wire.clone()));
    }
}

/// Carries bytes until the wire is cut. A frozen connection never thaws: what it had in hand is lost, as with a dead route.
async fn carry(mut client: TcpStream, server: String, mut wire: watch::Receiver<Wire>) {
    if *wire.borrow() == Wire::Whole
        && let Ok(mut there) = TcpStream::connect(&server).await
    {
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut there) => return,
            changed = wire.wait_for(|wire| *wire != Wire::Whole) => drop(changed),
        }
        if *wire.borrow() == Wire::Frozen {
            // Both ends stay open and hear nothing, until the wire is cut or the test ends.
            let _ = wire.wait_for(|wire| *wire == Wire::Cut).await;
        }
    } else if *wire.borrow() == Wire::Frozen {
        let _ = wire.wait_for(|wire| *wire != Wire::Frozen).await;
    }
}
