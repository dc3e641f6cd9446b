//! The entries of `--metric-address-allow`.

use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;

use super::special::plain;

/// One entry of `--metric-address-allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressPattern {
    /// Addresses: `10.0.0.0/8`, `fd00::/8`, `127.0.0.1`.
    Network(IpAddr, u8),
    /// Places: `https://thanos.example.com`, `prometheus.monitoring:9090`, `*.example.com`, `*`. A scheme or port that is
    /// left out may be any.
    Place {
        /// `http` or `https`.
        scheme: Option<String>,
        /// Which hosts.
        host: HostPattern,
        /// The port.
        port: Option<u16>,
    },
}

/// Which hosts an entry names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// This one.
    Exactly(Host),
    /// Those below this domain.
    Below(String),
    /// All.
    Any,
}

/// A host of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// In lower case, and without the dot that ends a full name.
    Name(String),
    /// The address that is meant, in whichever way it is written.
    Address(IpAddr),
}

/// An entry that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address: write scheme://host:port, host, *.domain, or a network like 10.0.0.0/8")]
pub struct InvalidPattern(String);

impl FromStr for AddressPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let text = text.trim();
        network(text).or_else(|| place(text)).ok_or_else(|| InvalidPattern(text.to_owned()))
    }
}

fn network(text: &str) -> Option<AddressPattern> {
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let address = plain(address.parse().ok()?);
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(most), |length| length.parse().ok().filter(|length| *length <= most))?;
    Some(AddressPattern::Network(address, length))
}

fn place(text: &str) -> Option<AddressPattern> {
    let (scheme, rest) = text.split_once("://").map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port.parse().ok()?)),
        _ => (rest, None),
    };
    let parsed = |host: &str| {
        let is_bare = !host.contains(['/', '\\', '?', '#', '@', '*']);
        is_bare.then(|| Url::parse(&format!("http://{host}")).ok()).flatten().and_then(|url| Host::of(&url))
    };
    let host = match host.strip_prefix('*') {
        Some("") => HostPattern::Any,
        Some(domain) => match parsed(domain.strip_prefix('.')?)? {
            Host::Name(domain) => HostPattern::Below(domain),
            Host::Address(_) => return None,
        },
        None => HostPattern::Exactly(parsed(host)?),
    };
    let known = scheme.is_none_or(|scheme| matches!(scheme, "http" | "https"));
    known.then(|| AddressPattern::Place { scheme: scheme.map(str::to_owned), host, port })
}

impl Host {
    pub(super) fn of(url: &Url) -> Option<Self> {
        let host = url.host_str()?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = || Self::Name(host.trim_end_matches('.').to_owned());
        Some(bare.parse().map_or_else(|_| name(), |address| Self::Address(plain(address))))
    }
}

impl AddressPattern {
    pub(super) fn covers(&self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::Network(IpAddr::V4(network), length), IpAddr::V4(address)) => {
                let differ = u32::from(*network) ^ u32::from(address);
                differ.leading_zeros() >= u32::from(*length)
            }
            (Self::Network(IpAddr::V6(network), length), IpAddr::V6(address)) => {
                let differ = u128::from(*network) ^ u128::from(address);
                differ.leading_zeros() >= u32::from(*length)
            }
            _ => false,
        }
    }

    /// How an entry names a host of a URL: in full or not; nothing where it does not.
    pub(super) fn names(&self, url: &Url, of: &Host) -> Option<Named> {
        let Self::Place { scheme, host, port } = self else { return None };
        let fits = scheme.as_deref().is_none_or(|scheme| scheme == url.scheme())
            && port.is_none_or(|port| url.port_or_known_default() == Some(port));
        match (host, of) {
            _ if !fits => None,
            (HostPattern::Exactly(known), host) => (known == host).then_some(Named::InFull),
            (HostPattern::Below(domain), Host::Name(name)) => {
                name.strip_suffix(domain.as_str())?.ends_with('.').then_some(Named::ByPattern)
            }
            (HostPattern::Below(_), _) => None,
            (HostPattern::Any, _) => Some(Named::ByPattern),
        }
    }
}

/// How an entry names a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Named {
    ByPattern,
    InFull,
}
