//! What a controller asked of the API server, counted from the audit log.

use std::collections::BTreeMap;

use leadsman_e2e::audit::Request;

/// How often each kind of request was made, watches apart from all others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// By verb and kind, such as `patch rollouts/status`.
    counted: BTreeMap<(String, String), u64>,
    /// Watches that began.
    pub watches: u64,
    /// Of those counted, the ones that the API server refused.
    pub refused: u64,
}

impl Requests {
    /// Of one user.
    pub fn of<'a>(requests: impl IntoIterator<Item = &'a Request>, user: &str) -> Self {
        let mut all = Self::default();
        for request in requests.into_iter().filter(|it| it.user() == user) {
            all.count(request);
        }
        all
    }

    fn count(&mut self, request: &Request) {
        if request.verb == "watch" {
            // It is in the log a second time when it ends.
            self.watches += u64::from(request.stage == "ResponseStarted");
            return;
        }
        if request.stage == "ResponseStarted" {
            return;
        }
        let object = &request.object_ref;
        let kind = match (object.resource.as_str(), object.subresource.as_str()) {
            ("", _) => request.uri.split('?').next().unwrap_or_default().to_owned(),
            (resource, "") => resource.to_owned(),
            (resource, subresource) => format!("{resource}/{subresource}"),
        };
        *self.counted.entry((request.verb.clone(), kind)).or_default() += 1;
        self.refused += u64::from(request.code() >= 400);
    }

    /// Verb with kind, the most frequent first.
    pub fn by_kind(&self) -> Vec<(String, u64)> {
        let mut all: Vec<_> =
            self.counted.iter().map(|((verb, kind), number)| (format!("{verb} {kind}"), *number)).collect();
        all.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        all
    }

    fn sum(&self, wanted: impl Fn(&str, &str) -> bool) -> u64 {
        self.counted.iter().filter(|((verb, kind), _)| wanted(verb, kind)).map(|(_, number)| number).sum()
    }

    /// All but those of the lease.
    pub fn without_leases(&self) -> u64 {
        self.sum(|_, kind| kind != "leases")
    }

    /// Those of the lease.
    pub fn leases(&self) -> u64 {
        self.sum(|_, kind| kind == "leases")
    }

    /// What was written, but events and the lease.
    pub fn writes(&self) -> u64 {
        self.sum(|verb, kind| is_write(verb) && kind != "leases" && kind != "events")
    }

    /// Of what was written, how often a status.
    pub fn status_writes(&self) -> u64 {
        self.sum(|verb, kind| is_write(verb) && kind.ends_with("/status"))
    }

    /// Events that were written.
    pub fn events(&self) -> u64 {
        self.sum(|verb, kind| is_write(verb) && kind == "events")
    }
}

fn is_write(verb: &str) -> bool {
    ["create", "update", "patch", "delete", "deletecollection"].contains(&verb)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(user: &str, verb: &str, stage: &str, resource: &str, subresource: &str, code: u16) -> Request {
        let text = format!(
            r#"{{"kind":"Event","stage":"{stage}","requestURI":"/apis/x/{resource}?limit=5","verb":"{verb}",
                "user":{{"username":"{user}"}},
                "objectRef":{{"resource":"{resource}","subresource":"{subresource}","namespace":"shop","name":"a"}},
                "responseStatus":{{"code":{code}}},
                "requestReceivedTimestamp":"2026-11-27T10:00:00.000001Z","stageTimestamp":"2026-11-27T10:00:00.5Z"}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn example() -> Requests {
        let done = "ResponseComplete";
        let all = [
            line("op", "patch", done, "rollouts", "", 200),
            line("op", "update", done, "rollouts", "status", 200),
            line("op", "update", done, "rollouts", "status", 409),
            line("op", "create", done, "events", "", 201),
            line("op", "update", done, "leases", "", 200),
            line("op", "list", done, "pods", "", 200),
            line("op", "watch", "ResponseStarted", "rollouts", "", 200),
            line("op", "watch", done, "rollouts", "", 200),
            line("other", "patch", done, "rollouts", "", 200),
        ];
        Requests::of(&all, "op")
    }

    #[test]
    fn a_watch_is_counted_once_and_apart() {
        assert_eq!(example().watches, 1);
        assert!(example().by_kind().iter().all(|(kind, _)| !kind.starts_with("watch")));
    }

    #[test]
    fn writes_events_and_leases_are_told_apart() {
        let all = example();
        assert_eq!((all.without_leases(), all.leases()), (5, 1));
        assert_eq!((all.writes(), all.status_writes(), all.events()), (3, 2, 1));
        assert_eq!(all.refused, 1);
    }

    #[test]
    fn the_most_frequent_is_named_first_with_its_subresource() {
        assert_eq!(example().by_kind().first(), Some(&("update rollouts/status".to_owned(), 2)));
    }

    #[test]
    fn what_is_no_object_is_named_by_its_path() {
        let mut request = line("op", "get", "ResponseComplete", "", "", 200);
        request.object_ref.resource.clear();
        assert_eq!(Requests::of([&request], "op").by_kind(), [("get /apis/x/".to_owned(), 1)]);
    }
}
