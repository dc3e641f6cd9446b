//! What the demo can release by.

use anyhow::Result;
use leadsman_bed::Connections;

use super::{RATE, ROUTE};
use crate::load::Load;
use crate::namespace::Namespace;
use crate::routes::{APP, PREVIEW};

/// Requests per second to a preview: somebody who has a look.
const LOOKS: f64 = 20.0;

/// How new versions take over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// A growing share of the requests, by the weights of a route.
    #[default]
    Canary,
    /// All at once after a preview, by the selector of a Service.
    BlueGreen,
    /// A growing share of the connections, by the selector of a Service and the number of pods.
    Plain,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Canary, Self::BlueGreen, Self::Plain];

    /// For the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::BlueGreen => "blue-green",
            Self::Plain => "plain",
        }
    }

    /// The one that is called so.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.word() == word)
    }

    /// The file of its picture.
    pub(super) fn picture(self) -> &'static str {
        match self {
            Self::Canary => "rollout.svg",
            Self::BlueGreen => "blue-green.svg",
            Self::Plain => "plain.svg",
        }
    }

    /// What is above its picture.
    pub(super) fn title(self) -> String {
        let how = match self {
            Self::Canary => "",
            Self::BlueGreen => ", blue-green behind one Service",
            Self::Plain => ", canaries behind one Service",
        };
        format!("A good release and a bad one under {RATE} requests/s{how}")
    }

    /// What a new version is called until it is promoted.
    pub(super) fn trial(self) -> &'static str {
        if self == Self::BlueGreen { "preview" } else { "canary" }
    }

    /// How clients get to the application.
    pub(super) fn way(self) -> &'static str {
        match self {
            Self::Canary => "through the gateway",
            Self::BlueGreen | Self::Plain => "to the Service, each over a connection of its own",
        }
    }

    /// The clients.
    pub(super) async fn load(self, namespace: &Namespace) -> Result<Load> {
        match self {
            Self::Canary => Load::through(namespace, ROUTE, RATE).await,
            Self::BlueGreen | Self::Plain => Load::direct(namespace, APP, Connections::New, RATE).await,
        }
    }

    /// Somebody who looks at the preview, where there is one.
    pub(super) async fn looks(self, namespace: &Namespace) -> Result<Option<Load>> {
        if self != Self::BlueGreen {
            return Ok(None);
        }
        Load::direct(namespace, PREVIEW, Connections::New, LOOKS).await.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_word_and_a_picture_of_its_own() {
        for strategy in Strategy::ALL {
            assert_eq!(Strategy::of_word(strategy.word()), Some(strategy));
            assert!(Strategy::ALL.iter().all(|it| *it == strategy || it.picture() != strategy.picture()));
        }
        assert_eq!(Strategy::of_word("rolling"), None);
    }
}
