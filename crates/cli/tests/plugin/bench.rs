//! A server with one Rollout, and verbs as they are typed.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Parser;
use leadsman_api::names::COMMAND_ANNOTATION;
use leadsman_cli::args::{Cli, spelled_out};
use leadsman_cli::cluster::Cluster;
use leadsman_cli::output::{Environment, Screen};
use leadsman_cli::session::Session;
use leadsman_testkit::{ApiServer, Application, Name, Request, Verb, kind};
use serde_json::{Value, json};

use crate::beyond::{Answers, Beyond};

/// A text that several hands write.
#[derive(Clone, Default)]
pub struct Text(Arc<Mutex<Vec<u8>>>);

impl Text {
    pub fn read(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a verb came to.
#[derive(Debug)]
pub struct Ended {
    pub code: u8,
    pub out: String,
    pub err: String,
}

/// A server with the Rollout shop/cart.
#[derive(Clone)]
pub struct Bench {
    pub server: ApiServer,
    pub environment: Environment,
    /// What is answered before the server is asked.
    pub answers: Answers,
}

pub fn application() -> Application {
    Application::new("shop", "cart")
}

pub fn name() -> Name {
    application().name()
}

impl Bench {
    pub fn new() -> Self {
        let server = ApiServer::new();
        server.hand("git").create(&application().rollout()).unwrap();
        Self { server, environment: Environment::new(), answers: Answers::default() }
    }

    /// The operator writes this into the status, for the generation that is declared.
    pub fn say(&self, status: &Value) {
        let written = self.server.hand("leadsman").edit_status(&name(), |rollout| {
            let mut status = status.clone();
            status["observedGeneration"] = rollout["metadata"]["generation"].clone();
            rollout["status"] = status;
        });
        assert!(written);
    }

    /// Git declares another version.
    pub fn declare(&self, version: &str) {
        let template = application().version(version).rollout()["spec"]["template"].clone();
        assert!(self.server.hand("git").edit(&name(), |rollout| rollout["spec"]["template"] = template));
    }

    /// Types a verb, in namespace shop.
    pub async fn run(&self, words: &[&str]) -> Ended {
        self.run_with(words, |_| {}).await
    }

    pub async fn run_with(&self, words: &[&str], prepare: impl FnOnce(&mut Screen)) -> Ended {
        let typed = ["kubectl leadsman"].iter().chain(words).map(Into::into);
        let cli = Cli::try_parse_from(spelled_out(typed)).unwrap();
        let (out, err) = (Text::default(), Text::default());
        let mut screen = Screen::new(out.clone(), err.clone(), &b"y\n"[..]);
        screen.quiet = cli.common.quiet;
        prepare(&mut screen);
        let server = self.server.clone();
        let service = Beyond { connection: self.server.connect("plugin"), answers: Arc::clone(&self.answers) };
        let cluster = Cluster::new(kube::Client::new(service, "default"), Duration::from_secs(5));
        let mut session = Session {
            cluster,
            namespace: "shop".to_owned(),
            screen,
            environment: self.environment.clone(),
            clock: Arc::new(move || server.now()),
        };
        let outcome = Box::pin(leadsman_cli::run(&mut session, cli.verb.as_ref().unwrap())).await;
        let code = match outcome {
            Ok(exit) => exit.code(),
            Err(failure) => {
                session.screen.complain(&failure.to_string());
                failure.exit.code()
            }
        };
        Ended { code, out: out.read(), err: err.read() }
    }

    /// Types a verb while something else happens.
    pub async fn run_while(&self, words: &[&str], story: impl Future<Output = ()>) -> Ended {
        let (ended, ()) = tokio::join!(self.run(words), story);
        ended
    }

    /// What the plugin asked for so far.
    pub fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }

    /// So many requests that were no watches.
    pub fn asked(&self) -> usize {
        self.requests().iter().filter(|request| request.verb != Verb::Watch).count()
    }

    pub fn rollout(&self) -> Value {
        (*self.server.get(&kind::ROLLOUT, "shop", "cart").unwrap()).clone()
    }

    pub fn command(&self) -> Option<String> {
        let text = self.rollout()["metadata"]["annotations"][COMMAND_ANNOTATION].as_str()?.to_owned();
        Some(text)
    }

    /// An operator that answers every command after a while.
    pub async fn answer_commands(&self, after: Duration, outcome: &str, message: &str) {
        let text = self.server.until(|_| self.command()).await;
        tokio::time::sleep(after).await;
        let mut parts = text.splitn(3, '/');
        let (verb, _, id) = (parts.next().unwrap(), parts.next(), parts.next().unwrap());
        let answer = json!({"id": id, "verb": verb, "outcome": outcome, "message": message,
            "at": "2026-11-26T12:00:00Z"});
        let mut status = self.rollout()["status"].clone();
        status["lastCommand"] = answer;
        self.say(&status);
    }
}

pub fn revision(version: &str, number: i64) -> Value {
    let application = application().version(version);
    json!({"hash": application.hash(), "revision": number, "replicas": 4, "readyReplicas": 4,
        "images": [format!("app={}", application.image())]})
}

/// v1 serves.
pub fn healthy() -> Value {
    json!({"phase": "Healthy", "message": "revision 1 serves with 4 pods", "stable": revision("v1", 1),
        "conditions": [condition("Promoted", "DeclaredIsStable")]})
}

/// v2 is on trial.
pub fn moving() -> Value {
    json!({"phase": "Progressing", "message": "step 2/4: canary at 25%; pause until 12:03:47Z",
        "stable": revision("v1", 1), "canary": revision("v2", 2),
        "step": {"index": 1, "of": 4, "display": "2/4"}, "weight": {"desired": 25, "written": 25, "inForce": 25},
        "waiting": {"reason": "Pause", "for": "pause until 12:03:47Z"}})
}

/// v2 serves.
pub fn promoted() -> Value {
    json!({"phase": "Healthy", "message": "revision 2 serves with 4 pods", "stable": revision("v2", 2),
        "conditions": [condition("Promoted", "DeclaredIsStable")]})
}

/// v2 went back.
pub fn rolled_back() -> Value {
    json!({"phase": "RolledBack", "message": "AnalysisFailed: errors 6.94%", "stable": revision("v1", 1),
        "canary": revision("v2", 2), "conditions": [condition("Stalled", "RolledBack")],
        "rejected": [{"hash": application().version("v2").hash(), "revision": 2, "reason": "AnalysisFailed",
            "message": "errors 6.94%", "at": "2026-11-26T12:00:00Z"}]})
}

pub fn condition(kind: &str, reason: &str) -> Value {
    json!({"type": kind, "status": "True", "reason": reason, "message": reason,
        "lastTransitionTime": "2026-11-26T12:00:00Z"})
}
