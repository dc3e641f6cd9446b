//! The operator's charts, by both Helms, kustomize, promtool and the API server: what they render is taken, and says what the
//! code says. Needs the cluster: `cargo test -p leadsman-bed -- --ignored`.

// As in any test; clippy knows only those functions as tests that carry the attribute.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use leadsman::runtime::rbac::{Feature, LEASE_RULES, RULES, Rule};
use leadsman_bed::{Bed, charts, helm, helm3, promtool, rendered_charts};
use serde_json::{Value, json};

type Grant = (String, String, String);

fn run(program: &Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn succeed(program: &Path, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn chart() -> String {
    charts().join("leadsman").display().to_string()
}

/// Every file of values that the chart has for tests.
fn values() -> Vec<String> {
    let files = fs::read_dir(charts().join("leadsman/ci")).unwrap();
    files.map(|file| file.unwrap().path().display().to_string()).collect()
}

fn documents(text: &str) -> Vec<Value> {
    let says = |document: &&str| document.lines().any(|line| !line.is_empty() && !line.starts_with(['#', '-']));
    text.split("\n---\n").filter(says).map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

/// What the chart renders with values given as `--set`.
fn rendered(helm: &Path, sets: &[String]) -> Vec<Value> {
    let chart = chart();
    let mut arguments = vec!["template", "leadsman", &chart, "--namespace", "leadsman-system"];
    arguments.extend(sets.iter().flat_map(|set| ["--set", set]));
    documents(&succeed(helm, &arguments))
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

fn granted(role: &Value) -> BTreeSet<Grant> {
    let mut grants = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in words(&rule["apiGroups"]) {
            for resource in words(&rule["resources"]) {
                grants.extend(words(&rule["verbs"]).into_iter().map(|verb| (group.clone(), resource.clone(), verb)));
            }
        }
    }
    grants
}

fn wanted(rules: &[Rule], has: impl Fn(Feature) -> bool) -> BTreeSet<Grant> {
    let used = rules.iter().filter(|rule| has(rule.3));
    used.flat_map(|(group, resource, verbs, _)| {
        verbs.iter().map(|verb| ((*group).to_owned(), (*resource).to_owned(), (*verb).to_owned()))
    })
    .collect()
}

#[test]
#[ignore = "builds Helm"]
fn both_helms_take_every_set_of_values_in_the_strictest_way() {
    for helm in [helm().unwrap(), helm3().unwrap()] {
        for file in values() {
            succeed(&helm, &["lint", "--strict", &chart(), "--values", &file]);
            let text = succeed(&helm, &["template", "leadsman", &chart(), "--values", &file]);
            assert_eq!(of_kind(&documents(&text), "Deployment").len(), 1, "{file}");
        }
        let definitions = charts().join("leadsman-crds").display().to_string();
        succeed(&helm, &["lint", "--strict", &definitions]);
        assert_eq!(
            of_kind(&documents(&succeed(&helm, &["template", "x", &definitions])), "CustomResourceDefinition").len(),
            leadsman_api::crds::values().len()
        );
    }
}

#[test]
#[ignore = "builds Helm"]
fn a_slip_in_the_values_is_refused_with_its_path() {
    for helm in [helm().unwrap(), helm3().unwrap()] {
        for (slip, path) in [
            ("features.secrets.mod=None", "/features/secrets"),
            ("replica=3", "replica"),
            ("prometheusRule.alerts.LeadsmanDwon.enabled=false", "/prometheusRule/alerts"),
        ] {
            let output = run(&helm, &["template", "leadsman", &chart(), "--set", slip]);
            let said = String::from_utf8_lossy(&output.stderr).replace('.', "/");
            assert!(!output.status.success() && said.contains(path), "{slip}: {said}");
        }
    }
}

#[test]
#[ignore = "builds Helm"]
fn the_operator_is_told_that_commanders_are_recorded_exactly_where_they_are() {
    let served = ["--api-versions", "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"];
    for helm in [helm().unwrap(), helm3().unwrap()] {
        for (is, can, watched, recorded) in [
            ("auto", true, "null", true),
            ("auto", false, "null", false),
            ("auto", true, "{shop}", false),
            ("true", false, "{shop}", true),
            ("false", true, "null", false),
        ] {
            let set = format!("policies.recordActor.enabled={is},watchNamespaces={watched}");
            let chart = chart();
            let mut arguments = vec!["template", "leadsman", &chart, "--set", &set];
            arguments.extend(served.iter().filter(|_| can));
            let objects = documents(&succeed(&helm, &arguments));
            assert_eq!(!of_kind(&objects, "MutatingAdmissionPolicy").is_empty(), recorded, "{set}");
            let deployment = of_kind(&objects, "Deployment")[0];
            let told = words(&deployment["spec"]["template"]["spec"]["containers"][0]["args"]);
            assert_eq!(told.contains(&"--commanders-recorded".to_owned()), recorded, "{set}: {told:?}");
        }
    }
}

#[test]
#[ignore = "builds Helm"]
fn every_combination_of_features_is_granted_what_the_code_says() {
    let helm = helm().unwrap();
    for bits in 0..64_u8 {
        let [gateway, istio, eviction, routes, secrets, jobs] = [0, 1, 2, 3, 4, 5].map(|bit| bits & (1 << bit) != 0);
        let mode = if secrets { "Namespace" } else { "None" };
        // With and without each of the others.
        let logs = jobs != eviction;
        let set = format!(
            "features.gatewayAPI={gateway},features.istio={istio},features.eviction={eviction},\
             features.ownRoutes={routes},features.secrets.mode={mode},features.jobs={jobs},features.logs={logs}"
        );
        for watched in [false, true] {
            let has = |feature| match feature {
                Feature::Always => true,
                Feature::GatewayApi => gateway,
                Feature::OwnGatewayRoutes => gateway && routes,
                Feature::Istio => istio,
                Feature::OwnVirtualServices => istio && routes,
                Feature::Eviction => eviction,
                Feature::Secrets => secrets,
                Feature::Jobs => jobs,
                Feature::Logs => logs,
                Feature::ClusterTemplates => !watched,
            };
            let namespaces = if watched { "watchNamespaces={shop,cart}" } else { "watchNamespaces=null" };
            let objects = rendered(&helm, &[set.clone(), namespaces.to_owned()]);
            let roles = of_kind(&objects, "Role");
            let lease = roles.iter().find(|role| role["metadata"]["namespace"] == "leadsman-system").unwrap();
            assert_eq!(granted(lease), wanted(LEASE_RULES, has), "{set}");
            let cluster = of_kind(&objects, "ClusterRole");
            let of_namespace = |name: &str| *roles.iter().find(|role| role["metadata"]["namespace"] == name).unwrap();
            let roles = if watched {
                assert!(cluster.is_empty() && of_kind(&objects, "ClusterRoleBinding").is_empty(), "{cluster:?}");
                ["shop", "cart"].map(of_namespace).to_vec()
            } else {
                let ours = |role: &&&Value| role["metadata"]["name"] == "leadsman-system-leadsman";
                vec![*cluster.iter().find(ours).unwrap()]
            };
            for role in roles {
                assert_eq!(granted(role), wanted(RULES, has), "{set} {namespaces}");
            }
        }
    }
}

/// An object that two installations bring is refused to the second one.
#[test]
#[ignore = "builds Helm"]
fn what_the_page_of_scale_installs_side_by_side_has_no_object_twice() {
    let root = charts().parent().unwrap().to_owned();
    let page = fs::read_to_string(root.join("docs/scale.md")).unwrap();
    let commands = page.split("```").find(|block| block.contains("helm install")).unwrap();
    assert_eq!(commands.matches("helm install").count(), 3);
    let commands = commands.replace("helm install", "echo; echo ---; \"$0\" template");
    let helm = helm().unwrap();
    let output = Command::new("sh").args(["-ec", &commands]).arg(helm).current_dir(root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut brought = BTreeSet::new();
    for object in documents(&String::from_utf8(output.stdout).unwrap()) {
        let at = |pointer: &str| object.pointer(pointer).map(Value::to_string).unwrap_or_default();
        let identity = [at("/kind"), at("/metadata/namespace"), at("/metadata/name")];
        assert!(brought.insert(identity.clone()), "{identity:?} is brought twice");
    }
    assert!(brought.iter().any(|[kind, ..]| kind.contains("CustomResourceDefinition")));
}

#[test]
#[ignore = "builds Helm"]
fn what_is_for_those_without_helm_is_up_to_date() {
    for (path, text) in rendered_charts().unwrap() {
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(written == text, "{} is stale: cargo xtask chart", path.display());
    }
}

/// A namespace that is removed again, also when the test fails.
struct Namespace<'a>(&'a Bed, &'static str);

impl<'a> Namespace<'a> {
    fn new(bed: &'a Bed, name: &'static str) -> Self {
        bed.kubectl(["delete", "namespace", name, "--ignore-not-found", "--wait"]).unwrap();
        bed.kubectl(["create", "namespace", name]).unwrap();
        for mode in ["enforce", "warn"] {
            bed.kubectl(["label", "namespace", name, &format!("pod-security.kubernetes.io/{mode}=restricted")])
                .unwrap();
        }
        Self(bed, name)
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        let _ = self.0.kubectl(["delete", "namespace", self.1, "--wait=false"]);
    }
}

#[test]
#[ignore = "needs the cluster"]
fn every_object_is_taken_by_the_api_server_in_the_strictest_way() {
    let (bed, helm) = (Bed::attach().unwrap(), helm().unwrap());
    let namespace = Namespace::new(&bed, "bed-chart");
    // Pods are taken only where their account is.
    bed.kubectl(["create", "serviceaccount", "leadsman", "--namespace", namespace.1]).unwrap();
    for file in values() {
        let arguments = ["template", "leadsman", &chart(), "--namespace", namespace.1, "--values", &file];
        let mut objects = documents(&succeed(&helm, &arguments));
        // The cluster has no operator of Prometheus, whose kinds these are.
        objects.retain(|object| object["apiVersion"] != "monitoring.coreos.com/v1");
        let said = dry_run(&bed, &objects);
        assert!(!said.contains("PodSecurity"), "{file}: {said}");
    }
}

/// What kubectl says when the API server is asked to take the objects, and does not keep them.
fn dry_run(bed: &Bed, objects: &[Value]) -> String {
    let mut kubectl = bed.kubectl_command();
    kubectl.args(["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-"]);
    let mut child = kubectl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    child.stdin.take().unwrap().write_all(list.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

/// An own folder for files, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("leadsman-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, file: &str, text: &str) -> String {
        let path = self.0.join(file);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
#[ignore = "builds Helm and promtool"]
fn alerts_are_given_when_they_should_be_and_each_has_its_page() {
    let (helm, promtool, folder) = (helm().unwrap(), promtool().unwrap(), Folder::new("alerts"));
    let objects = rendered(&helm, &["prometheusRule.enabled=true".to_owned()]);
    let rules = &of_kind(&objects, "PrometheusRule")[0]["spec"];
    succeed(&promtool, &["check", "rules", &folder.write("rules.yaml", &rules.to_string())]);
    succeed(&promtool, &["test", "rules", &folder.write("tests.yaml", include_str!("alerts.yaml"))]);
    let pages = charts().parent().unwrap().join("docs/runbooks");
    let named = |rule: &Value| format!("{}.md", rule["alert"].as_str().unwrap());
    let alerts: BTreeSet<_> = rules["groups"][0]["rules"].as_array().unwrap().iter().map(named).collect();
    let files = fs::read_dir(pages).unwrap().map(|page| page.unwrap().file_name().into_string().unwrap());
    assert_eq!(files.collect::<BTreeSet<_>>(), alerts);
    let tried = include_str!("alerts.yaml");
    for alert in alerts {
        let name = alert.trim_end_matches(".md");
        assert!(tried.contains(&format!("alertname: {name}\n")), "{name} is not tried");
    }
}

fn images(pod: &Value) -> Vec<&Value> {
    pod["containers"].as_array().unwrap().iter().map(|container| &container["image"]).collect()
}

#[test]
#[ignore = "needs the cluster's kubectl"]
fn kustomize_knows_rollouts() {
    let (bed, folder) = (Bed::attach().unwrap(), Folder::new("kustomize"));
    let sources = charts().join("kustomize");
    for file in ["leadsman.yaml", "openapi.json"] {
        folder.write(file, &fs::read_to_string(sources.join(file)).unwrap());
    }
    folder.write("rollout.yaml", include_str!("kustomize/rollout.yaml"));
    folder.write("kustomization.yaml", include_str!("kustomize/kustomization.yaml"));
    let built = bed.kubectl(["kustomize", folder.0.to_str().unwrap()]).unwrap();
    let objects = documents(&built);
    let settings = of_kind(&objects, "ConfigMap")[0]["metadata"]["name"].as_str().unwrap();
    let rollout = &of_kind(&objects, "Rollout")[0]["spec"];
    let pod = &rollout["template"]["spec"];
    assert!(settings.starts_with("eu-settings-"), "{settings}");
    assert_eq!(pod["volumes"][0]["configMap"]["name"], settings);
    assert_eq!(images(pod), ["shop:2", "proxy:1"], "a patch of one container leaves the other");
    let deployment = of_kind(&objects, "Deployment")[0];
    assert_eq!(
        images(&deployment["spec"]["template"]["spec"]),
        ["mailer:2", "proxy:1"],
        "also of a Deployment beside it"
    );
    assert_eq!(rollout["replicas"], 5);
    assert_eq!(rollout["strategy"]["canary"]["traffic"]["service"], "eu-shop");
}

#[test]
#[ignore = "needs the cluster's kubectl"]
fn every_base_can_be_built_with_every_component() {
    let bed = Bed::attach().unwrap();
    let sources = charts().join("kustomize");
    for base in ["default", "namespaced"] {
        // Kustomize takes no absolute paths: it is built beside the others.
        let folder = Folder(sources.join(format!("built-{base}-{}", std::process::id())));
        fs::create_dir_all(&folder.0).unwrap();
        let components =
            ["monitoring", "network-policy", "policies", "actor"].map(|name| format!("../components/{name}"));
        folder.write(
            "kustomization.yaml",
            &json!({"resources": [format!("../{base}")], "components": components}).to_string(),
        );
        let objects = documents(&bed.kubectl(["kustomize", folder.0.to_str().unwrap()]).unwrap());
        for kind in ["Deployment", "PrometheusRule", "NetworkPolicy", "MutatingAdmissionPolicy"] {
            assert_eq!(of_kind(&objects, kind).len(), 1, "{kind} in {base}");
        }
        assert_eq!(of_kind(&objects, "ClusterRole").is_empty(), base == "namespaced");
        let deployment = of_kind(&objects, "Deployment")[0];
        let told = words(&deployment["spec"]["template"]["spec"]["containers"][0]["args"]);
        assert!(told.contains(&"--commanders-recorded".to_owned()), "{told:?}");
    }
}
