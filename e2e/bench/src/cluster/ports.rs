//! Ports of loopback that nobody uses.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context as _, Result};

/// So many of them. They are free now; nobody keeps them free.
pub fn free<const N: usize>() -> Result<[u16; N]> {
    // All at the same time, so that no two are the same.
    let listeners: Vec<_> = (0..N).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    let ports: Vec<u16> =
        listeners.iter().map(|it| Ok(it.local_addr()?.port())).collect::<Result<_, std::io::Error>>()?;
    ports.try_into().ok().context("not as many ports as asked for")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_ports_are_the_same() {
        let mut ports = free::<8>().unwrap().to_vec();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 8);
    }
}
