//! Which addresses metric sources may have, and whose words are told.
//!
//! Addresses stand in AnalysisTemplates, and are asked from where the operator runs. Whoever may write a template must not
//! reach with it what only the operator can reach: its own ports, the cloud's metadata. Without a list every other address
//! is allowed; what it says is not quoted then, only judged. With `--metric-address-allow` nothing is allowed but the
//! operator's `--prometheus-address` and what the list names.
//!
//! Special are addresses that lead back to the operator or its node, and those of the clouds' metadata.
//!
//! | address | without a list | with a list |
//! |---|---|---|
//! | `--prometheus-address` | asked, quoted | asked, quoted |
//! | a host that the list names in full | | asked, quoted, wherever it is |
//! | a host that fits `*` or `*.domain` | | asked, quoted; not where it is a special address |
//! | an address in a listed network, or a name that has one | | asked, quoted |
//! | a special address, or a name that has no other | refused | refused |
//! | anything else | asked, not quoted | refused |
//!
//! Names are looked up when a connection is made, and the connection goes to an address that was checked: a name that
//! changes in between gains nothing. Only what is listed in full, or the default, is asked through a proxy of the
//! environment (`HTTP_PROXY`), since a proxy looks names up by itself.

mod pattern;
mod special;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::FutureExt;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{ClientBuilder, Url};

pub use self::pattern::AddressPattern;
use self::pattern::{Host, Named};
use self::special::{plain, special};
use super::Failure;
use super::answer::Words;

/// How an address may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
