//! A controller in a cluster of its own: applications brought in, released, and awaited.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{ApiResource, Patch, PatchParams};
use leadsman_bed::http;
use leadsman_e2e::audit::AuditLog;
use leadsman_e2e::objects::dynamic;
use leadsman_e2e::runtime::blocking;
use serde_json::{Value, json};
use tokio::time::sleep_until;

use crate::application::Application;
use crate::arguments::{Common, Routes};
use crate::cluster::process::Process;
use crate::cluster::{AT_ONCE, Cluster, bring_in, free_ports};
use crate::contender::{Contender, Entry, Surroundings, Work, resource};
use crate::foreign;
use crate::gateway::{Gateway, http_routes};
use crate::progress::{Count, say};
use crate::source::Source;
use crate::watching::{Awaited, first_seen};
use crate::window::Window;

/// How long anything may take for each application, and at least.
const LIMIT_EACH: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_mins(10);

/// A controller, its cluster, and what is measured in it.
pub struct Arena {
    // Ends before the cluster that it works in.
    process: Option<Process>,
    program: PathBuf,
    pub contender: Box<dyn Contender>,
    pub work: Work,
    pub source: Option<Source>,
    _gateway: Option<Gateway>,
    ports: [u16; 2],
    cluster: Cluster,
}

impl Arena {
    /// A fresh cluster in `folder`, with everything but the controller's process. With `measured`, Prometheus has values of
    /// so many applications.
    pub async fn prepare(
        entry: &Entry,
        common: &Common,
        folder: PathBuf,
        measured: Option<(u32, Duration)>,
    ) -> Result<Self> {
        std::fs::create_dir_all(&folder)?;
        let contender = entry.contender();
        let cluster = Cluster::start(&folder, common.latency).await?;
        cluster.install(&contender.definitions()?).await?;
        cluster.install(&contender.rights()?).await?;
        foreign::create(&cluster.client, common.foreign).await?;
        let source = match measured {
            Some((applications, _)) => Some(Source::start(&folder, applications).await?),
            None => None,
        };
        let work = Work {
            routes: common.routes,
            replicas: common.replicas,
            measured: measured.map(|(_, interval)| interval),
            headless: false,
            prometheus: source.as_ref().map_or_else(|| "http://127.0.0.1:9".to_owned(), Source::url),
        };
        let gateway = (common.routes == Routes::HttpRoute).then(|| Gateway::start(&cluster.client));
        let program = std::path::absolute(&entry.program)?;
        let ports = free_ports()?;
        Ok(Self { process: None, program, contender, work, source, _gateway: gateway, ports, cluster })
    }

    /// Starts the controller. `raised` as in [`Surroundings`].
    pub fn start(&mut self, raised: bool) -> Result<()> {
        let kubeconfig = self.cluster.kubeconfig()?;
        let (prometheus, ports) = (self.work.prometheus.as_str(), self.ports);
        let words = self.contender.command(&Surroundings { prometheus, ports, kubeconfig: &kubeconfig, raised });
        let environment = [("KUBECONFIG", kubeconfig.as_path())];
        say(&format!("starting {}", self.contender.name()));
        self.process = Some(Process::start("contender", &self.program, &words, &environment, self.cluster.folder())?);
        Ok(())
    }

    /// Has it end in order.
    pub async fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(process) => process.stop().await,
            None => Ok(()),
        }
    }

    /// Ends it and starts another one, with its own limits.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.start(false)
    }

    /// How somebody else than the controller reaches the API server: see [`Cluster::kubeconfig_of`].
    pub fn kubeconfig_of(&self, user: &str) -> Result<PathBuf> {
        self.cluster.kubeconfig_of(user)
    }

    /// What is written of requests from now on.
    pub fn audit_log(&self) -> Result<AuditLog> {
        self.cluster.audit_log()
    }

    /// What the controller uses from now on.
    pub fn window(&self) -> Result<Window> {
        Window::begin(self.pid()?, self.cluster.audit_log()?)
    }

    /// The controller's process.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.process.as_ref().context("the controller does not run")?.pid())
    }

    /// Fails when the controller has ended by itself, or a component of the cluster has; goes on until then.
    async fn fails(&self) -> anyhow::Error {
        let of_cluster = self.cluster.fails();
        let of_controller = async {
            loop {
                if let Err(error) = self.expect_alive() {
                    return error;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            error = of_cluster => error,
            error = of_controller => error,
        }
    }

    /// Fails where the controller has ended by itself.
    pub fn expect_alive(&self) -> Result<()> {
        self.process.as_ref().map_or(Ok(()), Process::expect_alive)
    }

    async fn first_seen(
        &self,
        awaited: &Awaited<'_>,
        wanted: impl FnMut(Application, &Value) -> bool,
    ) -> Result<BTreeMap<u32, Instant>> {
        tokio::select! {
            seen = first_seen(&self.cluster.client, awaited, wanted) => seen,
            error = self.fails() => Err(error),
        }
    }

    /// Brings applications in, and waits until all serve.
    pub async fn deploy(&mut self, applications: &[Application], version: &str) -> Result<()> {
        let objects = applications.iter().flat_map(|it| self.contender.objects(*it, &self.work, version));
        let objects: Vec<_> = objects.collect();
        let count = Count::new("objects are brought in", objects.len());
        let bringing = bring_in(&self.cluster.client, objects, count);
        tokio::try_join!(bringing, self.settled(applications, version))?;
        self.expect_alive()
    }

    /// When each of them was first seen to serve this version.
    pub async fn settled(&self, applications: &[Application], version: &str) -> Result<BTreeMap<u32, Instant>> {
        let what = format!("serve {version}");
        let contender = &self.contender;
        let kind = contender.kind();
        let awaited = Awaited { kind: &kind, applications, what: &what, limit: limit(applications) };
        self.first_seen(&awaited, |it, seen| contender.is_settled(seen, it, version)).await
    }

    /// When the route of each of them first had this weight for the canary.
    pub async fn weighed(&self, applications: &[Application], weight: i64) -> Result<BTreeMap<u32, Instant>> {
        let what = format!("have weight {weight}");
        let kind = route_kind(self.work.routes);
        let awaited = Awaited { kind: &kind, applications, what: &what, limit: limit(applications) };
        let has = |it: Application, seen: &Value| {
            crate::application::weight_of(seen, &format!("{}-canary", it.name())) == Some(weight)
        };
        self.first_seen(&awaited, has).await
    }

    /// Declares another version of each, one after the other over a period of time.
    pub async fn release(&self, applications: &[Application], version: &str, over: Duration) -> Result<()> {
        let begin = tokio::time::Instant::now();
        let number = u32::try_from(applications.len())?.max(1);
        let writes = applications.iter().zip(0..number).map(|(application, index)| async move {
            sleep_until(begin + over * index / number).await;
            self.declare(*application, version).await
        });
        stream::iter(writes).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn declare(&self, application: Application, version: &str) -> Result<()> {
        let objects = self.contender.objects(application, &self.work, version);
        let released = json!(self.contender.released());
        let object = objects.iter().find(|it| it.get("kind") == Some(&released)).context("nothing is released")?;
        let (api, name) = dynamic(&self.cluster.client, object)?;
        let template = object.pointer("/spec/template").context("no template")?;
        let patch = Patch::Merge(json!({"spec": {"template": template}}));
        api.patch(&name, &PatchParams::default(), &patch).await.map(drop).with_context(|| format!("releasing {name}"))
    }

    /// How many objects the controller says to have looked at; none where it does not say.
    pub async fn looked_at(&self) -> Result<usize> {
        let metric = self.contender.looked_at().context("it does not say what it has looked at")?;
        let [port, _] = self.ports;
        let asked = blocking(move || http::get(([127, 0, 0, 1], port).into(), "/metrics")).await;
        // It may not listen yet.
        Ok(asked.map(|answer| answer.body.matches(metric).count()).unwrap_or_default())
    }
}

fn route_kind(routes: Routes) -> ApiResource {
    match routes {
        Routes::VirtualService => resource("networking.istio.io", "v1", "VirtualService"),
        Routes::HttpRoute => http_routes(),
    }
}

fn limit(applications: &[Application]) -> Duration {
    LIMIT.max(LIMIT_EACH * u32::try_from(applications.len()).unwrap_or(u32::MAX))
}
