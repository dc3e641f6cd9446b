//! What a pipeline is told: each exit code of `status` by a real cause, the files of docs/ci as they stand there, and the
//! verbs of people on a real release.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;
use leadsman_api::{Phase, Rollout};
use leadsman_e2e::metrics::{success_rate, with};
use leadsman_e2e::plugin::{Running, Said, plugin, script};
use leadsman_e2e::routes::APP;
use leadsman_e2e::status::{phase, weight_in_force};
use leadsman_e2e::wait::wait_for;
use leadsman_e2e::{App, Load, Namespace, RolloutBuilder, RouteKind, pause, pause_until_promoted, set_weight};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::scenario;

const KIND: RouteKind = RouteKind::HttpRouteGateway;
const SOON: Duration = Duration::from_mins(1);

pub fn trials() -> Vec<Trial> {
    vec![scenario("pipeline", |ns| async move { pipeline(&ns).await })]
}

/// The plugin, about the Rollout of this namespace.
struct Desk<'a> {
    namespace: &'a Namespace,
}

impl Desk<'_> {
    /// A verb with what stands behind the name.
    fn words<'a>(&'a self, verb: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
        [&[verb, APP, "-n", &self.namespace.name][..], rest].concat()
    }

    /// Runs a verb to its end, which has to be this.
    async fn ends(&self, verb: &str, rest: &[&str], code: i32) -> Result<Said> {
        let words = self.words(verb, rest);
        let said = plugin(&words).await?;
        ensure!(said.code == code, "{words:?} ended with {}, not {code}: {}{}", said.code, said.stdout, said.stderr);
        Ok(said)
    }

    async fn begin(&self, rest: &[&str]) -> Result<Running> {
        Running::start(&self.words("status", rest)).await
    }
}

/// Waits for the end of what was begun, which has to be this.
async fn ended(running: Running, code: i32) -> Result<Said> {
    let said = running.end(SOON).await?;
    ensure!(said.code == code, "ended with {}, not {code}: {}{}", said.code, said.stdout, said.stderr);
    Ok(said)
}

fn image(version: &str) -> String {
    format!("app:{version}")
}

async fn pipeline(namespace: &Namespace) -> Result<()> {
    let rollout = RolloutBuilder::new(&namespace.name, KIND)
        .background(&[success_rate()])
        .steps(&[set_weight(20), pause_until_promoted(), set_weight(50), pause("2s")])
        .drain("1s")
        .set("/spec/revisionHistoryLimit", json!(10));
    let desk = Desk { namespace };
    // It is built before anything that it has to be in time for.
    plugin(&["version"]).await?;
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, KIND, 100.0).await?;
    load.until_answered(100).await?;

    good(&desk, &rollout).await?;
    restarted(&desk).await?;
    bad(&desk, &rollout).await?;
    superseded(&desk, &rollout).await?;
    people(&desk, &rollout).await?;
    namespace.close(&mut load, &["v3"]).await?;
    invalid(&desk, &rollout).await
}

/// Asked for before it is declared; it waits for a person; time is up; interrupted; promoted.
async fn good(desk: &Desk<'_>, rollout: &RolloutBuilder) -> Result<()> {
    let nobody = plugin(&["status", "nobody", "-n", &desk.namespace.name]).await?;
    ensure!(nobody.code == 1 && nobody.stderr.contains("there is no Rollout"), "{nobody:?}");
    desk.ends("status", &["--for", "never"], 2).await?;
    let (v2, next) = (image("v2"), rollout.version("v2"));
    let mut waiting = desk.begin(&["--image", &v2, "--exit-on-pause"]).await?;
    waiting.until_says("waiting until app:v2 is declared", SOON).await?;
    desk.namespace.declare(&next).await?;
    let said = ended(waiting, 7).await?;
    for part in ["declared: commit commit-of-v2", "revision 2, step 1/4", "PAUSED", "kubectl leadsman promote"] {
        ensure!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
    desk.ends("status", &["--image", &v2, "--timeout", "2s"], 5).await?;
    let mut interrupted = desk.begin(&["--image", &v2]).await?;
    interrupted.until_says("step 2/4", SOON).await?;
    interrupted.interrupt().await?;
    ended(interrupted, 130).await?;
    let promoting = desk.begin(&["--commit", "commit-of-v2"]).await?;
    desk.ends("promote", &[], 0).await?;
    ended(promoting, 0).await?;
    desk.ends("status", &["--image", &v2, "--for", "serving"], 0).await?;
    for pipeline in pipelines(&desk.namespace.name)? {
        pipeline.ends(desk.namespace, "v2", 0).await?;
    }
    Ok(())
}

/// Every pod is another one after `restart`.
async fn restarted(desk: &Desk<'_>) -> Result<()> {
    let pods = desk.namespace.api::<Pod>();
    let before = pods.list(&ListParams::default().labels(&format!("app={APP}"))).await?;
    desk.ends("restart", &[], 0).await?;
    for pod in before {
        let is_gone = |found: Option<&Pod>| found.is_none_or(|it| it.metadata.deletion_timestamp.is_some());
        wait_for(pods.clone(), &pod.name_any(), "to be replaced", SOON, is_gone).await?;
    }
    desk.namespace.until("to be Healthy", SOON, |seen| phase(seen) == Some(Phase::Healthy)).await.map(drop)
}

/// Rolled back, with its reports; asked once more; tried once more, and aborted.
async fn bad(desk: &Desk<'_>, rollout: &RolloutBuilder) -> Result<()> {
    let v3 = image("v3");
    let folder = folder(desk.namespace, "reports")?;
    let (junit, report) = (folder.join("gates.xml"), folder.join("release.md"));
    let files = [&junit, &report].map(|file| file.display().to_string());
    let files = ["--junit", &files[0], "--report", &files[1]];
    let waiting = desk.begin(&[&["--image", &v3][..], &files].concat()).await?;
    desk.namespace.declare(&rollout.app(App { error_rate: 0.3, ..App::new("v3") })).await?;
    let said = ended(waiting, 3).await?;
    ensure!(said.stdout.contains("ROLLED BACK") && said.stdout.contains("success-rate"), "{}", said.stdout);
    let (junit, report) = (std::fs::read_to_string(junit)?, std::fs::read_to_string(report)?);
    ensure!(junit.contains("<failure") && junit.contains("success-rate"), "{junit}");
    ensure!(report.contains("was rolled back") && report.contains("success-rate"), "{report}");
    desk.ends("status", &["--image", &v3], 3).await?;
    for pipeline in pipelines(&desk.namespace.name)? {
        pipeline.ends(desk.namespace, "v3", 3).await?;
    }
    let refused = desk.ends("promote", &[], 4).await?;
    ensure!(!refused.stderr.is_empty() || !refused.stdout.is_empty(), "it does not say why");
    desk.ends("retry", &[], 0).await?;
    desk.namespace.until("to be on its way again", SOON, |seen| phase(seen) != Some(Phase::RolledBack)).await?;
    desk.ends("abort", &[], 0).await?;
    desk.namespace.until_rolled_back(SOON).await.map(drop)
}

async fn superseded(desk: &Desk<'_>, rollout: &RolloutBuilder) -> Result<()> {
    let v4 = rollout.version("v4");
    desk.namespace.declare(&v4).await?;
    let mut waiting = desk.begin(&["--commit", "commit-of-v4"]).await?;
    waiting.until_says("step 2/4", SOON).await?;
    desk.namespace.declare(&rollout.version("v5")).await?;
    let said = ended(waiting, 6).await?;
    ensure!(said.stdout.contains("revision 5") || said.stdout.contains("superseded"), "{}", said.stdout);
    Ok(())
}

/// A person holds a release, lets it go on, promotes it at once, and goes back; then declares an image by hand.
async fn people(desk: &Desk<'_>, rollout: &RolloutBuilder) -> Result<()> {
    let v5 = rollout.version("v5");
    desk.namespace.until_weight(&v5, 20).await?;
    desk.ends("pause", &[], 0).await?;
    desk.ends("resume", &[], 0).await?;
    desk.ends("promote", &["--full", "-y"], 0).await?;
    desk.namespace.until_promoted(&v5).await?;
    desk.ends("rollback", &["-y"], 0).await?;
    desk.namespace.until_rolled_back(SOON).await?;
    desk.ends("status", &["--image", &image("v5"), "--for", "settled"], 0).await?;
    let name = format!("{}/{APP}", desk.namespace.name);
    let set = plugin(&["set", "image", &name, "app=localhost/app:v6"]).await?;
    ensure!(set.code == 0, "{set:?}");
    desk.ends("status", &["--image", &image("v6"), "--for", "weight=20"], 0).await?;
    // The application writes none unless it crashes.
    desk.ends("logs", &["--tail", "1"], 0).await?;
    desk.ends("promote", &["--full", "-y"], 0).await?;
    desk.ends("status", &["--image", &image("v6")], 0).await?;
    let set = |seen: &Rollout| phase(seen) == Some(Phase::Healthy) && weight_in_force(seen) == 0;
    desk.namespace.until("to be Healthy", SOON, set).await.map(drop)
}

/// What is declared cannot be carried out.
async fn invalid(desk: &Desk<'_>, rollout: &RolloutBuilder) -> Result<()> {
    let broken = with(success_rate(), "/successCondition", json!("value >="));
    desk.namespace.declare(&rollout.version("v7").background(&[broken])).await?;
    let said = desk.ends("status", &["--image", &image("v7")], 4).await?;
    ensure!(said.stdout.contains("successCondition"), "{}", said.stdout);
    Ok(())
}

/// What one of the files in docs/ci has a shell do.
struct Pipeline {
    name: &'static str,
    script: String,
}

impl Pipeline {
    /// Runs it, as its system would, for a version: with what that system sets. The system itself is not here.
    async fn ends(&self, namespace: &Namespace, version: &str, code: i32) -> Result<()> {
        let folder = folder(namespace, &format!("{}-{version}", self.name))?;
        let (commit, summary) = (format!("commit-of-{version}"), folder.join("summary.md"));
        let summary_file = summary.display().to_string();
        let variables: &[(&str, &str)] = match self.name {
            "gitlab" => &[("GITLAB_CI", "true"), ("CI_COMMIT_SHORT_SHA", version)],
            "github" => &[("GITHUB_ACTIONS", "true"), ("GITHUB_SHA", &commit), ("GITHUB_STEP_SUMMARY", &summary_file)],
            "jenkins" => &[("TAG", version)],
            _ => &[("VERSION", version)],
        };
        let said = script(&self.script, &folder, variables).await?;
        ensure!(
            said.code == code,
            "{}: ended with {}, not {code}: {}{}",
            self.name,
            said.code,
            said.stdout,
            said.stderr
        );
        let leaves = match self.name {
            "gitlab" | "jenkins" => Some(folder.join("gates.xml")),
            "github" => Some(summary),
            _ => None,
        };
        ensure!(leaves.as_ref().is_none_or(|file| file.exists()), "{}: {leaves:?} is not there", self.name);
        Ok(())
    }
}

/// The scripts of docs/ci, about this namespace's Rollout in place of their example's.
fn pipelines(namespace: &str) -> Result<Vec<Pipeline>> {
    let yaml = |text: &str| serde_saphyr::from_str::<Value>(text).context("docs/ci");
    let said = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned).context("docs/ci: no script");
    let gitlab = yaml(include_str!("../../../docs/ci/gitlab-ci.yml"))?;
    let github = yaml(include_str!("../../../docs/ci/github-actions.yml"))?;
    let tekton = yaml(include_str!("../../../docs/ci/tekton-task.yaml"))?;
    let jenkins = include_str!("../../../docs/ci/Jenkinsfile");
    let jenkins = jenkins.split_once("script: '").and_then(|(_, rest)| rest.split_once('\''));
    // Tekton hands the arguments to the script.
    let tekton = said(tekton.pointer("/spec/steps/0/script"))?;
    let tekton = format!("set -- {APP} {namespace} app:$VERSION\n{tekton}");
    let scripts = [
        ("gitlab", said(gitlab.pointer("/release/script/0"))?),
        ("github", said(github.pointer("/jobs/release/steps/0/run"))?),
        ("jenkins", jenkins.context("docs/ci: no script")?.0.to_owned()),
        ("tekton", tekton),
    ];
    let ours =
        |script: String| script.replace("cart -n shop", &format!("{APP} -n {namespace}")).replace("cart:$", "app:$");
    Ok(scripts.map(|(name, script)| Pipeline { name, script: ours(script) }).into())
}

/// A folder of its own beside the results.
fn folder(namespace: &Namespace, name: &str) -> Result<PathBuf> {
    let folder = namespace.cluster.output.join(&namespace.scenario).join(name);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
