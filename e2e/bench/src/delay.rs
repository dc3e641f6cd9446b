//! A longer way to the API server: whatever goes through is handed on later, half of the delay in each direction. Nothing is
//! slower than that: calls that are under way at the same time wait at the same time.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

/// What may be on the way in one direction, in pieces of at most [`PIECE`] bytes.
const ON_THE_WAY: usize = 1024;
const PIECE: usize = 16 * 1024;

/// The way; it ends when this is dropped.
pub struct Delay {
    port: u16,
    task: AbortHandle,
}

impl Delay {
    /// Leads to a port of loopback.
    pub async fn start(to: u16, delay: Duration) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port for the delay")?;
        let port = listener.local_addr()?.port();
        let task = tokio::spawn(accept(listener, to, delay / 2)).abort_handle();
        Ok(Self { port, task })
    }

    /// Where it begins.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, to: u16, each_way: Duration) {
    while let Ok((inner, _)) = listener.accept().await {
        tokio::spawn(async move {
            let Ok(outer) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else { return };
            // Else a small request waits for more to come.
            let _ = inner.set_nodelay(true).and(outer.set_nodelay(true));
            let ((from_inner, to_inner), (from_outer, to_outer)) = (inner.into_split(), outer.into_split());
            tokio::join!(carry(from_inner, to_outer, each_way), carry(from_outer, to_inner, each_way));
        });
    }
}

/// One direction of a connection, to its end.
async fn carry(from: impl AsyncRead + Unpin, to: impl AsyncWrite + Unpin, later: Duration) {
    let (sender, receiver) = mpsc::channel(ON_THE_WAY);
    tokio::join!(take(from, sender, later), give(to, receiver));
}

async fn take(mut from: impl AsyncRead + Unpin, to: mpsc::Sender<(Instant, Vec<u8>)>, later: Duration) {
    let mut piece = vec![0; PIECE];
    while let Ok(length) = from.read(&mut piece).await {
        let read = piece.get(..length).unwrap_or_default().to_vec();
        if read.is_empty() || to.send((Instant::now() + later, read)).await.is_err() {
            return;
        }
    }
}

async fn give(mut to: impl AsyncWrite + Unpin, mut from: mpsc::Receiver<(Instant, Vec<u8>)>) {
    while let Some((due, piece)) = from.recv().await {
        sleep_until(due).await;
        if to.write_all(&piece).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_comes_later_by_the_delay_and_whole() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4];
            stream.read_exact(&mut asked).await.unwrap();
            stream.write_all(&vec![7; 100_000]).await.unwrap();
        });
        let delay = Delay::start(port, Duration::from_millis(100)).await.unwrap();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, delay.port())).await.unwrap();
        let began = Instant::now();
        stream.write_all(b"ping").await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.len() == 100_000 && answer.iter().all(|it| *it == 7));
        assert!(began.elapsed() >= Duration::from_millis(100));
    }
}
