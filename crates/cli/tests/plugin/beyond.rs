//! What the fake API server does not serve, answered before it: who one is, rights, versions, CRDs, Deployments, logs.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use http::{Request, Response};
use kube::client::Body as RequestBody;
use leadsman_api::crds::{SCHEMA_VERSION, SCHEMA_VERSION_ANNOTATION};
use leadsman_testkit::{Connection, NoAnswer};
use serde_json::{Value, json};

/// Answers by a path's end; what is not in it goes to the fake API server.
pub type Answers = Arc<Vec<(&'static str, Value)>>;

#[derive(Clone)]
pub struct Beyond {
    pub connection: Connection,
    pub answers: Answers,
}

impl tower::Service<Request<RequestBody>> for Beyond {
    type Response = Response<Body>;
    type Error = NoAnswer;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, NoAnswer>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoAnswer>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let path = request.uri().path().to_owned();
        match self.answers.iter().find(|(end, _)| path.ends_with(end)) {
            Some((_, Value::String(text))) => {
                let response = Response::new(Body::from(text.clone()));
                Box::pin(async { Ok(response) })
            }
            Some((_, answer)) => {
                let response = Response::new(Body::from(answer.to_string()));
                Box::pin(async { Ok(response) })
            }
            None => tower::Service::call(&mut self.connection, request),
        }
    }
}

/// A cluster in which all is well.
pub fn sound() -> Vec<(&'static str, Value)> {
    let annotations = json!({SCHEMA_VERSION_ANNOTATION: SCHEMA_VERSION.to_string()});
    let crd = json!({"metadata": {"name": "rollouts.leadsman.dev", "annotations": annotations},
        "spec": {"group": "leadsman.dev", "names": {"kind": "Rollout", "plural": "rollouts"}, "scope": "Namespaced",
            "versions": []}});
    let operator = json!({"metadata": {"name": "leadsman", "namespace": "leadsman-system"},
        "spec": {"replicas": 2, "selector": {}, "template": {"spec": {"containers": [{"name": "leadsman", "image": "leadsman:1"}]}}},
        "status": {"readyReplicas": 2}});
    let group = |name: &str| {
        let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
        json!({"name": name, "versions": [version]})
    };
    vec![
        (
            "/version",
            json!({"major": "1", "minor": "36", "gitVersion": "v1.36.3", "gitCommit": "", "gitTreeState": "",
            "buildDate": "", "goVersion": "", "compiler": "", "platform": ""}),
        ),
        ("/customresourcedefinitions/rollouts.leadsman.dev", crd),
        (
            "/deployments",
            json!({"kind": "DeploymentList", "apiVersion": "apps/v1", "metadata": {}, "items": [operator]}),
        ),
        ("/leases/leadsman", json!({"metadata": {"name": "leadsman"}, "spec": {"holderIdentity": "leadsman-a"}})),
        ("/selfsubjectaccessreviews", json!({"spec": {}, "status": {"allowed": true}})),
        ("/selfsubjectreviews", json!({"status": {"userInfo": {"username": "ann"}}})),
        ("/apis", json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group("gateway.networking.k8s.io")]})),
        ("/pods/cart-a/log", json!("one\ntwo\n")),
        ("/pods/cart-b/log", json!("three\n")),
    ]
}
