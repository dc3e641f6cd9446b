//! A server on this machine that says what it is told to, and remembers what it was asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Response, Uri};
use reqwest::Url;

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub method: String,
    pub path: String,
    /// The parameters behind the ? and those of a form.
    pub form: HashMap<String, String>,
    pub headers: HeaderMap,
    pub body: String,
}

/// What is said to every request: status, content type, body, and `Location`.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
    pub location: Option<String>,
}

pub(super) fn json(body: &serde_json::Value) -> Reply {
    Reply { status: 200, content_type: "application/json", body: body.to_string(), location: None }
}

pub(super) struct Server {
    pub address: String,
    pub requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn request(&self) -> Request {
        self.requests.lock().unwrap().last().cloned().expect("nothing was asked")
    }
}

pub(super) async fn server(reply: Reply) -> Server {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    let handler = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let body = String::from_utf8_lossy(&body).into_owned();
        let form = Url::parse(&format!("http://form/?{}&{body}", uri.query().unwrap_or_default())).unwrap();
        let form = form.query_pairs().into_owned().collect();
        let (method, path) = (method.to_string(), uri.path().to_owned());
        seen.lock().unwrap().push(Request { method, path, form, headers, body });
        let mut response = Response::builder().status(reply.status).header("content-type", reply.content_type);
        if let Some(location) = &reply.location {
            response = response.header("location", location);
        }
        let response = response.body(Body::from(reply.body.clone())).unwrap();
        async move { response }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
    Server { address, requests }
}
