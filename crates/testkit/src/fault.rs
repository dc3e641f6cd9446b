//! What can go wrong between a client and the server: rules, each for some requests and for as often as it says.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::kind::Kind;
use crate::refusal::Refusal;
use crate::server::ApiServer;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// One object.
    Get,
    /// Many.
    List,
    /// Changes.
    Watch,
    /// What a group serves.
    Discover,
    /// A new object.
    Create,
    /// Whether a new object would be taken: nothing is stored.
    DryRun,
    /// A whole object.
    Update,
    /// A whole status.
    UpdateStatus,
    /// A JSON patch or a merge patch.
    Patch,
    /// A server-side apply.
    Apply,
    /// The end of an object.
    Delete,
}

impl Verb {
    /// Whether it changes anything.
    pub fn is_write(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch | Self::Discover | Self::DryRun)
    }
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is refused, and nothing is done.
    Refused(Refusal),
    /// It is done after this long, and answered then.
    Slow(Duration),
    /// It is done, and no answer comes: the connection breaks.
    AnswerLost,
    /// It is done, and no answer comes: the connection stays open.
    AnswerNeverComes,
    /// Nobody is there: nothing is done.
    Gone,
    /// Something else happens while it is on its way: somebody was faster. It is answered as if nothing were wrong.
    Meanwhile(Meanwhile),
}

/// What happens while a request is on its way. It may panic: that happens in the client's task.
#[derive(Clone)]
pub struct Meanwhile(Arc<dyn Fn(&ApiServer) + Send + Sync>);

impl Meanwhile {
    pub(crate) fn happen(&self, server: &ApiServer) {
        (self.0)(server);
    }
}

impl fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meanwhile")
    }
}

/// Which requests a fault is for, and how often.
#[derive(Clone, Debug)]
pub struct Rule {
    fault: Fault,
    verbs: Vec<Verb>,
    kind: Option<&'static Kind>,
    namespace: Option<String>,
    name: Option<String>,
    by: Option<String>,
    strict: bool,
    times: Option<u32>,
    skip: u32,
}

impl Rule {
    /// For every request, for ever.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            verbs: Vec::new(),
            kind: None,
            namespace: None,
            name: None,
            by: None,
            strict: false,
            times: None,
            skip: 0,
        }
    }

    /// A refusal with an HTTP code, a reason and words.
    pub fn refusing(code: u16, reason: &str, message: &str) -> Self {
        Self::new(Fault::Refused(Refusal::new(code, reason, message)))
    }

    /// Before such a request arrives, this happens.
    pub fn meanwhile(happens: impl Fn(&ApiServer) + Send + Sync + 'static) -> Self {
        Self::new(Fault::Meanwhile(Meanwhile(Arc::new(happens))))
    }

    /// Only for these verbs.
    #[must_use]
    pub fn verbs(self, verbs: &[Verb]) -> Self {
        Self { verbs: verbs.to_vec(), ..self }
    }

    /// Only for writes.
    #[must_use]
    pub fn writes(self) -> Self {
        use Verb::{Apply, Create, Delete, Patch, Update, UpdateStatus};
        self.verbs(&[Create, Update, UpdateStatus, Patch, Apply, Delete])
    }

    /// Only for this kind.
    #[must_use]
    pub fn kind(self, kind: &'static Kind) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// Only in this namespace: not for what is asked of all of them.
    #[must_use]
    pub fn namespace(self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self }
    }

    /// Only for objects of this name.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// Only through the connection of this name.
    #[must_use]
    pub fn by(self, by: &str) -> Self {
        Self { by: Some(by.to_owned()), ..self }
    }

    /// Only where fields are to be validated strictly.
    #[must_use]
    pub fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// Only so many times.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Not for the first so many that it would be for.
    #[must_use]
    pub fn after(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    fn is_for(&self, by: &str, asked: &Asked<'_>) -> bool {
        let Asked { verb, kind, namespace, name, strict } = *asked;
        (!self.strict || strict)
            && (self.verbs.is_empty() || self.verbs.contains(&verb))
            && self.kind.is_none_or(|wanted| kind == Some(wanted))
            && self.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
            && self.by.as_deref().is_none_or(|wanted| wanted == by)
            && self.name.as_deref().is_none_or(|wanted| wanted == name)
    }
}

/// What a rule looks at of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub verb: Verb,
    pub kind: Option<&'static Kind>,
    pub namespace: &'a str,
    pub name: &'a str,
    pub strict: bool,
}

/// The rules in force, the first that is for a request decides.
#[derive(Default)]
pub(crate) struct Faults(Vec<Rule>);

impl Faults {
    pub fn add(&mut self, rule: Rule) {
        self.0.push(rule);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn strike(&mut self, by: &str, asked: &Asked<'_>) -> Option<Fault> {
        let rule = self.0.iter_mut().find(|rule| rule.is_for(by, asked) && rule.times != Some(0))?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        if let Some(times) = &mut rule.times {
            *times -= 1;
        }
        Some(rule.fault.clone())
    }
}
