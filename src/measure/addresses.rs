//! Which addresses metric sources may have, and whose words are told.
//!
//! Addresses stand in AnalysisTemplates, and are asked from where the operator runs. Whoever may write a template must not
//! reach with it what only the operator can reach: its own ports, the cloud's metadata. Without a list every other address
//! is allowed; what it says is not quoted then, only judged. With `--metric-address-allow` nothing is allowed but the
//! operator's `--prometheus-address` and what the list names.
//!
//! | address | without a list | with a list |
//! |---|---|---|
//! | `--prometheus-address` | asked, quoted | asked, quoted |
//! | a host that the list names in full | | asked, quoted, wherever it is |
//! | a host that fits `*` or `*.domain` | | asked, quoted; not where it is a [special](special) address |
//! | an address in a listed network, or a name that has one | | asked, quoted |
//! | a [special](special) address, or a name that has no other | refused | refused |
//! | anything else | asked, not quoted | refused |
//!
//! Names are looked up when a connection is made, and the connection goes to an address that was checked: a name that
//! changes in between gains nothing. Only what is listed in full, or the default, is asked through a proxy of the
//! environment (`HTTP_PROXY`), since a proxy looks names up by itself.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use futures::FutureExt;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{ClientBuilder, Url};

use super::Failure;
use super::answer::Words;

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
    fn of(url: &Url) -> Option<Self> {
        let host = url.host_str()?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = || Self::Name(host.trim_end_matches('.').to_owned());
        Some(bare.parse().map_or_else(|_| name(), |address| Self::Address(plain(address))))
    }
}

impl AddressPattern {
    fn covers(&self, address: IpAddr) -> bool {
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
    fn names(&self, url: &Url, of: &Host) -> Option<Named> {
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    ByPattern,
    InFull,
}

/// How an address may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Wherever it is: the operator's administrator has named it.
    Vouched,
    /// Where it is no special address.
    Guarded,
    /// Where it is in a listed network.
    InNetworks,
    /// As [`Access::Guarded`], and its words are nobody's business.
    Foreign,
}

impl Access {
    /// What is told of what it says.
    pub fn words(self) -> Words {
        if self == Self::Foreign { Words::Withheld } else { Words::Told }
    }
}

/// The default address and the list.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    default: Option<String>,
    allowed: Arc<[AddressPattern]>,
}

impl Addresses {
    pub fn new(default: Option<String>, allowed: &[AddressPattern]) -> Self {
        Self { default, allowed: allowed.into() }
    }

    /// The address that is asked where a metric names none.
    pub fn default(&self) -> Option<&str> {
        self.default.as_deref()
    }

    pub fn has_networks(&self) -> bool {
        self.allowed.iter().any(|pattern| matches!(pattern, AddressPattern::Network(..)))
    }

    /// Whether and how an address may be asked.
    pub fn access(&self, address: &str) -> Result<Access, Failure> {
        let is_same = |default: &str| default.trim_end_matches('/') == address.trim_end_matches('/');
        if self.default.as_deref().is_some_and(is_same) {
            return Ok(Access::Vouched);
        }
        let wrong = |what: &str| Failure::lasting(format!("{address:?} is not an address: {what}"));
        let url = Url::parse(address).map_err(|error| wrong(&error.to_string()))?;
        let host = Host::of(&url).ok_or_else(|| wrong("write http://host:port"))?;
        let how = self.allowed.iter().filter_map(|pattern| pattern.names(&url, &host)).max();
        if how == Some(Named::InFull) {
            return Ok(Access::Vouched);
        }
        if let Host::Address(ip) = host {
            if self.covers(ip) {
                return Ok(Access::Vouched);
            }
            self.refuse_special(ip).map_err(|refused| Failure::lasting(refused.to_string()))?;
        }
        match how {
            Some(_) => Ok(Access::Guarded),
            None if self.allowed.is_empty() => Ok(Access::Foreign),
            None if self.has_networks() && matches!(host, Host::Name(_)) => Ok(Access::InNetworks),
            None => Err(Failure::lasting(format!(
                "the address {} is not in the operator's --metric-address-allow",
                url.origin().ascii_serialization()
            ))),
        }
    }

    fn covers(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(|pattern| pattern.covers(plain(address)))
    }

    fn refuse_special(&self, address: IpAddr) -> Result<(), Refused> {
        match special(address) {
            Some(what) if !self.covers(address) => Err(Refused(format!(
                "{address} is {what}: no metric source may be there unless the operator's --metric-address-allow lists it"
            ))),
            _ => Ok(()),
        }
    }

    fn refuse_unlisted(&self, address: IpAddr) -> Result<(), Refused> {
        let words = || format!("{address} is in no network of the operator's --metric-address-allow");
        if self.covers(address) { Ok(()) } else { Err(Refused(words())) }
    }

    /// A client's settings for a way of access.
    pub fn guard(&self, access: Access, builder: ClientBuilder) -> ClientBuilder {
        match access {
            Access::Vouched => builder,
            Access::Guarded | Access::Foreign | Access::InNetworks => {
                builder.no_proxy().dns_resolver(Arc::new(Guard { addresses: self.clone(), access }))
            }
        }
    }
}

/// An address that is not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// Looks names up, and gives only addresses that may be asked.
struct Guard {
    addresses: Addresses,
    access: Access,
}

impl Guard {
    /// Those of a name's addresses that may be asked, or why none may.
    fn permitted(&self, name: &str, found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, Refused> {
        let mut refused = None;
        let may = |address: &SocketAddr| {
            let outcome = match self.access {
                Access::Vouched => Ok(()),
                Access::Guarded | Access::Foreign => self.addresses.refuse_special(address.ip()),
                Access::InNetworks => self.addresses.refuse_unlisted(address.ip()),
            };
            outcome.map_err(|error| refused = Some(error)).is_ok()
        };
        let permitted: Vec<_> = found.filter(may).collect();
        match refused {
            Some(Refused(words)) if permitted.is_empty() => Err(Refused(format!("{name} leads to {words}"))),
            _ => Ok(permitted),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Self { addresses: self.addresses.clone(), access: self.access };
        async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let permitted = guard.permitted(name.as_str(), found)?;
            Ok(Box::new(permitted.into_iter()) as Addrs)
        }
        .boxed()
    }
}

/// What is special about an address where no metric source is asked unless it is listed; nothing for the others.
fn special(address: IpAddr) -> Option<&'static str> {
    const METADATA: [IpAddr; 5] = [
        IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
        IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
        IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
        IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    ];
    let address = plain(address);
    let (is_unspecified, is_link_local) = match address {
        IpAddr::V4(v4) => (v4.octets().first() == Some(&0), v4.is_link_local()),
        IpAddr::V6(v6) => (v6.is_unspecified(), v6.is_unicast_link_local()),
    };
    if METADATA.contains(&address) {
        Some("a cloud's metadata")
    } else if address.is_loopback() {
        Some("a loopback address")
    } else if is_link_local {
        Some("a link-local address")
    } else if is_unspecified {
        Some("an unspecified address")
    } else if address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some("a multicast address")
    } else {
        None
    }
}

/// The IPv4 address that an IPv6 address stands for, where it does: mapped, compatible, or behind a translator (NAT64, 6to4).
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [a, b, c, d, e, f, high, low] = v6.segments();
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match [a, b, c, d, e, f] {
        // :: and ::1 are IPv6's own.
        [0, 0, 0, 0, 0, 0] if high == 0 => address,
        [0, 0, 0, 0, 0, 0 | 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => address,
    }
}
