//! The connections themselves: passed on byte by byte, and cut all at once.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Passes connections on for as long as `connected`; while not, there is nobody at `address`.
pub async fn forward(
    mut listener: TcpListener,
    address: SocketAddr,
    behind: SocketAddr,
    mut connected: watch::Receiver<bool>,
) {
    loop {
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    if let Ok((outside, _)) = accepted {
                        open.spawn(join(outside, behind));
                    }
                }
                Some(_) = open.join_next() => {}
                cut = connected.wait_for(|connected| !connected) => {
                    if cut.is_err() {
                        return;
                    }
                    break;
                }
            }
        }
        drop((listener, open));
        if connected.wait_for(|connected| *connected).await.is_err() {
            return;
        }
        listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
    }
}

async fn join(mut outside: TcpStream, behind: SocketAddr) -> std::io::Result<()> {
    let mut inside = TcpStream::connect(behind).await?;
    outside.set_nodelay(true)?;
    inside.set_nodelay(true)?;
    copy_bidirectional(&mut outside, &mut inside).await.map(drop)
}
