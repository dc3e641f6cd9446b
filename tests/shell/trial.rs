//! The API server's word on a template before anything is made of it.

use leadsman_testkit::object::{list, text, unset};
use leadsman_testkit::{Application, Rule, Verb, kind};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::bed::{Bed, NAMESPACE, condition, seconds};

fn podinfo() -> Application {
    Application::new(NAMESPACE, "podinfo")
}

fn misspelt() -> Application {
    podinfo().version("v2").set("/spec/template/spec/containers/0/imagePullpolicy", json!("Always"))
}

const WORDS: &str = "strict decoding error: unknown field \"spec.template.spec.containers[0].imagePullpolicy\"";

/// The server finds the field only where it is asked to be strict; without that it drops it without a word.
fn does_not_know_the_field(bed: &Bed) {
    let rule = Rule::refusing(400, "BadRequest", WORDS).verbs(&[Verb::DryRun]).kind(&kind::REPLICA_SET);
    bed.server.inject(rule.strict());
    bed.server.admit(&kind::REPLICA_SET, |set| unset(set, "/spec/template/spec/containers/0/imagePullpolicy"));
}

fn asked(bed: &Bed) -> usize {
    bed.server.requests().iter().filter(|it| it.verb == Verb::DryRun).count()
}

#[tokio::test(start_paused = true)]
async fn a_field_that_the_server_does_not_know_is_told_at_once_and_nothing_is_made_or_rejected() {
    for deployed in [true, false] {
        let bed = Bed::new();
        let _operator = bed.operator("a");
        if deployed {
            bed.declare(&podinfo());
            bed.until_at_rest(&podinfo()).await;
        }
        does_not_know_the_field(&bed);
        let (began, before) = (Instant::now(), asked(&bed));
        bed.declare(&misspelt());
        let rollout = bed.until(&misspelt(), |it| condition(it, "Stalled").is_some()).await;
        assert!(began.elapsed().as_secs() < 3, "{:?}", began.elapsed());
        let (_, reason, message) = condition(&rollout, "Stalled").unwrap();
        assert!(reason == "InvalidTemplate" && message.contains(WORDS), "{reason}: {message}");
        seconds(600).await;
        let rollout = bed.rollout(&misspelt());
        assert_eq!(list(&rollout, "/status/rejected"), &[] as &[Value]);
        assert!(bed.server.get(&kind::REPLICA_SET, NAMESPACE, &misspelt().set_name().name).is_none());
        assert!((5..20).contains(&(asked(&bed) - before)), "{} dry runs in ten minutes", asked(&bed) - before);

        bed.server.heal();
        let mended = podinfo().version("v2");
        bed.declare(&mended);
        bed.until_at_rest(&mended).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_field_that_is_dropped_without_a_word_is_named() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    // Of a feature gate that is closed.
    bed.server.admit(&kind::REPLICA_SET, |set| unset(set, "/spec/template/spec/hostUsers"));
    let new = podinfo().version("v2").set("/spec/template/spec/hostUsers", json!(true));
    bed.release(&new);
    let rollout = bed.until(&new, |it| condition(it, "Stalled").is_some()).await;
    let message = text(&rollout, "/status/message");
    assert!(message.contains("dropped by the API server: spec.template.spec.hostUsers"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_good_template_is_asked_about_once_and_a_server_that_cannot_say_is_asked_again() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    assert_eq!(asked(&bed), 1);
    let webhook = "failed calling webhook \"policy\": context deadline exceeded";
    bed.server.inject(Rule::refusing(500, "InternalError", webhook).verbs(&[Verb::DryRun]).times(2));
    let new = podinfo().version("v2");
    bed.release(&new);
    bed.until(&new, |it| text(it, "/status/message").contains("failed calling webhook")).await;
    bed.until_at_rest(&new).await;
    assert_eq!(asked(&bed), 4);
}
