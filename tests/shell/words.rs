//! Why pods do not get ready, in the words of whoever knows.

use leadsman_testkit::object::{label, set, text};
use leadsman_testkit::{Application, Kind, Name, Verb, kind};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::bed::{Bed, NAMESPACE, seconds};

fn podinfo() -> Application {
    Application::new(NAMESPACE, "podinfo").set("/spec/progressDeadlineSeconds", json!(3600))
}

/// A release whose pods are created and never get ready.
async fn stuck(bed: &Bed) -> Application {
    let new = podinfo().version("v2");
    bed.controllers.change(|habits| habits.broken_images.push(new.image()));
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    bed.release(&new);
    let hash = new.hash();
    bed.until(&new, |_| pods(bed, &hash).next().is_some()).await;
    new
}

fn pods<'a>(bed: &'a Bed, hash: &'a str) -> impl Iterator<Item = Value> + 'a {
    let pods = bed.server.list(&kind::POD, NAMESPACE, "").into_iter();
    pods.filter(move |pod| label(pod, "leadsman.dev/revision") == Some(hash)).map(|pod| (*pod).clone())
}

fn warn(bed: &Bed, object: &Value, name: &str, reason: &str, message: &str) {
    let event = json!({
        "kind": "Event",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "lastTimestamp": bed.server.now().to_string(),
        "involvedObject": {"kind": "Pod", "uid": text(object, "/metadata/uid")},
    });
    bed.server.hand("kubelet").create(&event).unwrap();
}

fn lists(bed: &Bed, kind: &'static Kind, since: Instant) -> usize {
    let requests = bed.server.requests().into_iter();
    requests.filter(|it| it.verb == Verb::List && it.kind == Some(kind) && it.at >= since).count()
}

#[tokio::test(start_paused = true)]
async fn what_only_events_say_stands_in_the_message_and_the_newest_of_it() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    let new = stuck(&bed).await;
    let pod = pods(&bed, &new.hash()).next().unwrap();
    let name = Name::of(&pod).unwrap();
    let creating = json!([{"name": "app", "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}]);
    bed.server.hand("kubelet").edit_status(&name, |it| set(it, "/status/containerStatuses", creating));
    bed.until(&new, |it| text(it, "/status/message").contains("ContainerCreating")).await;
    warn(
        &bed,
        &pod,
        "first",
        "FailedMount",
        "Multi-Attach error for volume \"data\":\n volume is already used by pod x",
    );
    let words = "FailedMount: Multi-Attach error for volume \"data\": volume is already used by pod x";
    bed.until(&new, |it| text(it, "/status/message").contains(words)).await;
    warn(&bed, &pod, "second", "FailedCreatePodSandBox", "plugin type=\"cni\" failed");
    bed.until(&new, |it| text(it, "/status/message").contains("FailedCreatePodSandBox: plugin")).await;
    // It costs little, however long it lasts: the pods every two seconds, and their events every ten.
    let began = Instant::now();
    seconds(600).await;
    assert!(lists(&bed, &kind::POD, began) <= 310, "{}", lists(&bed, &kind::POD, began));
    assert!(lists(&bed, &kind::CORE_EVENT, began) <= 62, "{}", lists(&bed, &kind::CORE_EVENT, began));
}

#[tokio::test(start_paused = true)]
async fn pods_that_start_as_they_should_have_no_events_read() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    let began = Instant::now();
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    bed.release(&podinfo().version("v2"));
    bed.until_at_rest(&podinfo().version("v2")).await;
    assert_eq!(lists(&bed, &kind::CORE_EVENT, began), 0);
}
