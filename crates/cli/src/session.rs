//! What every verb works with: the cluster, the namespace, the screen, the clock and the environment.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use leadsman_view::{Charset, Style};

use crate::cluster::Cluster;
use crate::output::{Environment, Look, Screen};
use crate::target::Target;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What every verb works with.
pub struct Session {
    /// The API server.
    pub cluster: Cluster,
    /// The namespace of `-n`, or of the context.
    pub namespace: String,
    /// Where results go.
    pub screen: Screen,
    /// The environment variables.
    pub environment: Environment,
    /// The time.
    pub clock: Clock,
}

impl Session {
    /// Namespace and name of what is meant.
    pub fn resolve(&self, target: &Target) -> (String, String) {
        let namespace = target.namespace.clone().unwrap_or_else(|| self.namespace.clone());
        (namespace, target.name.clone())
    }

    /// How things are drawn on this screen.
    pub fn style(&self) -> Style {
        style(self.screen.look)
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// How things are drawn.
pub fn style(look: Look) -> Style {
    let charset = if look.ascii { Charset::Ascii } else { Charset::Unicode };
    let zone = if look.utc { TimeZone::UTC } else { TimeZone::system() };
    Style { width: look.width, charset, colour: look.colour, zone }
}
