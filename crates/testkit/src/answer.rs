//! What the server does with a request that reaches it, and what it says.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use http::Response;
use serde_json::{Value, json};

use crate::fault::Verb;
use crate::kind::Kind;
use crate::object::Name;
use crate::refusal::{Answer, Refusal};
use crate::request::{Asked, Target};
use crate::server::{ApiServer, State};
use crate::store::Writer;
use crate::watch;

pub(crate) fn answer(server: &ApiServer, by: &str, asked: Option<&Asked>, body: &Bytes) -> Response<Body> {
    let Some(asked) = asked else { return page_not_found() };
    let Some(target) = &asked.target else { return discover(server, asked) };
    if server.0.lock().withdrawn.contains(target.kind.kind) {
        return page_not_found();
    }
    let answer = match asked.verb {
        Verb::Watch => return watched(server, asked, target),
        Verb::DryRun => dry_run(&server.0.lock(), target, body),
        Verb::Get => get(&server.0.lock(), target),
        Verb::List => list(&server.0.lock(), asked, target),
        _ => server.0.with(|state| write(state, by, asked, target, body)),
    };
    match answer {
        Ok(object) => said(if matches!(asked.verb, Verb::Create | Verb::DryRun) { 201 } else { 200 }, &object),
        Err(refusal) => refused(&refusal),
    }
}

pub(crate) fn refused(refusal: &Refusal) -> Response<Body> {
    let body = serde_json::to_value(&refusal.status).unwrap_or_default();
    let mut response = said(refusal.status.code, &body);
    if let Some(delay) = refusal.retry_after {
        response.headers_mut().insert(http::header::RETRY_AFTER, delay.as_secs().into());
    }
    response
}

fn said(code: u16, object: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(object.to_string()));
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

/// What the real server says of groups and kinds that it does not know: no status, plain text.
fn page_not_found() -> Response<Body> {
    let mut response = Response::new(Body::from("404 page not found\n"));
    *response.status_mut() = http::StatusCode::NOT_FOUND;
    response
}

fn discover(server: &ApiServer, asked: &Asked) -> Response<Body> {
    let state = server.0.lock();
    let is_here = |kind: &&&Kind| {
        let path = if kind.group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{}", kind.api_version()) };
        path == asked.path && !state.withdrawn.contains(kind.kind)
    };
    let kinds: Vec<_> = crate::kind::ALL.iter().filter(is_here).collect();
    let Some(first) = kinds.first() else { return page_not_found() };
    let resources: Vec<_> = kinds
        .iter()
        .map(|kind| json!({"name": kind.plural, "kind": kind.kind, "namespaced": kind.namespaced, "verbs": ["get"]}))
        .collect();
    let group_version = first.api_version();
    said(200, &json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": resources}))
}

fn get(state: &State, target: &Target) -> Answer<Value> {
    let name = target.object();
    state.store.get(&name).map(|object| (**object).clone()).ok_or_else(|| Refusal::not_found(&name))
}

/// Pages are cut from the present state: what changes between two of them may be missed, which the real server rules out.
/// The version is that of the first page, so that a watch from there makes up for it.
fn list(state: &State, asked: &Asked, target: &Target) -> Answer<Value> {
    let selector = asked.selector();
    let all = state.store.list(target.kind, target.namespace.as_deref(), &selector);
    let first = (state.store.version(), 0);
    let (version, from) = match asked.query.get("continue").map(|it| it.split_once('/')) {
        None => first,
        Some(Some((version, from))) => (version.parse().unwrap_or(first.0), from.parse().unwrap_or(first.1)),
        Some(None) => return Err(Refusal::new(400, "BadRequest", "continue key is not valid")),
    };
    // A page of a version that has been compacted away cannot be given any more.
    state.store.since(version)?;
    let limit = asked.number("limit").and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
    let end = limit.map_or(all.len(), |limit| (from + limit).min(all.len()));
    let items: Vec<_> = all.get(from..end).unwrap_or_default().iter().map(|object| (**object).clone()).collect();
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if end < all.len() {
        crate::object::set(&mut metadata, "/continue", json!(format!("{version}/{end}")));
    }
    let (kind, api_version) = (format!("{}List", target.kind.kind), target.kind.api_version());
    Ok(json!({"kind": kind, "apiVersion": api_version, "metadata": metadata, "items": items}))
}

fn watched(server: &ApiServer, asked: &Asked, target: &Target) -> Response<Body> {
    let wanted = watch::Wanted {
        kind: target.kind,
        namespace: target.namespace.clone(),
        selector: asked.selector(),
        version: asked.number("resourceVersion").unwrap_or_else(|| server.0.lock().store.version()),
        timeout: asked.number("timeoutSeconds").map(Duration::from_secs),
        bookmarks: asked.is_set("allowWatchBookmarks"),
    };
    Response::new(Body::from_stream(watch::open(Arc::clone(&server.0), wanted)))
}

fn write(state: &mut State, by: &str, asked: &Asked, target: &Target, body: &Bytes) -> Answer<Value> {
    let manager = asked.query.get("fieldManager").map_or("unknown", String::as_str);
    let writer = Writer { by, manager };
    let object = || -> Answer<Value> { if body.is_empty() { Ok(Value::Null) } else { read(body) } };
    let name = target.object();
    match asked.verb {
        Verb::Create => {
            let object = object()?;
            state.store.create(writer, &named(target, &object), object)
        }
        Verb::Update => state.store.replace(writer, &name, object()?),
        Verb::UpdateStatus => state.store.replace_status(writer, &name, &object()?),
        Verb::Apply => state.store.apply(writer, &name, &object()?, asked.is_set("force")),
        Verb::Delete => state.store.delete(writer, &name, &object()?),
        Verb::Patch if asked.content_type.starts_with("application/json-patch") => {
            state.store.json_patch(writer, &name, body)
        }
        Verb::Patch => state.store.merge_patch(writer, &name, &object()?),
        Verb::Get | Verb::List | Verb::Watch | Verb::Discover | Verb::DryRun => {
            Err(Refusal::new(405, "MethodNotAllowed", "no write"))
        }
    }
}

/// What a create would be answered. Fields are not validated here: a [`crate::Rule`] for [`Verb::DryRun`] refuses what a
/// test wants refused.
fn dry_run(state: &State, target: &Target, body: &Bytes) -> Answer<Value> {
    let object = read(body)?;
    state.store.dry_run(&named(target, &object), object)
}

fn read(body: &Bytes) -> Answer<Value> {
    serde_json::from_slice(body).map_err(|error| Refusal::new(400, "BadRequest", &error.to_string()))
}

/// A new object names itself.
fn named(target: &Target, object: &Value) -> Name {
    Name { name: crate::object::text(object, "/metadata/name").to_owned(), ..target.object() }
}
