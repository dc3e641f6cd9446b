//! When questions are asked, in virtual time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use leadsman_core::analysis::{Answer, Outcome, Question};
use tokio::time::Instant;

use super::super::limits::{AT_ONCE, PER_ROLLOUT};
use super::super::measurer::{MOST_ANSWERS, MOST_QUESTIONS, Measurer};
use super::super::{Asked, Provider};
use super::{prometheus_of, question};
use crate::controller::key::Key;

/// What happened, with the virtual time in milliseconds.
type Log = Arc<Mutex<Vec<(u128, String)>>>;

/// Takes as long as the query says, in milliseconds.
struct Slow {
    asked: Log,
    began: Instant,
}

impl Provider for Slow {
    fn host(&self, question: &Question) -> String {
        question.source.prometheus().and_then(|source| source.address.clone()).unwrap_or_default()
    }

    fn ask<'a>(&'a self, _: &'a Key, question: &'a Question) -> BoxFuture<'a, Asked> {
        let what = format!("{} {}", question.token.metric.name, question.queries[0]);
        self.asked.lock().unwrap().push((self.began.elapsed().as_millis(), what));
        let takes = Duration::from_millis(question.queries[0].parse().unwrap());
        tokio::time::sleep(takes).map(|()| Asked::Answered(vec![Outcome::Samples(vec![1.0])])).boxed()
    }
}

struct Bed {
    measurer: Measurer,
    began: Instant,
    asked: Log,
    woken: Log,
}

fn bed_with(clock: impl Fn(Duration) -> Timestamp + Send + Sync + 'static) -> Bed {
    let (began, asked, woken) = (Instant::now(), Log::default(), Log::default());
    let wakes = Arc::clone(&woken);
    let measurer = Measurer::new(
        Box::new(Slow { asked: Arc::clone(&asked), began }),
        move || clock(began.elapsed()),
        move |key| wakes.lock().unwrap().push((began.elapsed().as_millis(), key.to_string())),
    );
    Bed { measurer, began, asked, woken }
}

fn bed() -> Bed {
    bed_with(|elapsed| Timestamp::UNIX_EPOCH + elapsed)
}

impl Bed {
    fn asked(&self) -> Vec<(u128, String)> {
        self.asked.lock().unwrap().clone()
    }

    fn answers(&self) -> Vec<Answer> {
        self.measurer.answers(&key())
    }

    /// Sleeps until so many milliseconds after the beginning, and a little, so that what is due then has happened.
    async fn until(&self, millis: u64) {
        tokio::time::sleep_until(self.began + Duration::from_millis(millis) + Duration::from_micros(100)).await;
    }
}

fn key() -> Key {
    Key::new("shop", "podinfo")
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap()
}

/// A question due after so many milliseconds, that takes so many.
fn ask(name: &str, due: i64, takes: u64) -> Question {
    Question { due: at(due), queries: vec![takes.to_string()], ..question(name, "http://a") }
}

fn seen(events: &[(u128, &str)]) -> Vec<(u128, String)> {
    events.iter().map(|(at, what)| (*at, (*what).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_question_is_asked_when_it_is_due_and_its_rollout_woken_when_it_is_answered() {
    let bed = bed();
    bed.measurer.set(&key(), vec![ask("now", 0, 100), ask("later", 25_000, 50)]);
    bed.until(30_000).await;
    assert_eq!(bed.asked(), seen(&[(0, "now 100"), (25_000, "later 50")]));
    assert_eq!(*bed.woken.lock().unwrap(), seen(&[(100, "shop/podinfo"), (25_050, "shop/podinfo")]));
    let answers = bed.answers();
    assert_eq!(answers.len(), 2);
    assert_eq!((answers[0].at, answers[0].parts[0].query.as_str()), (at(100), "100"));
    assert_eq!(answers[0].parts[0].outcome, Outcome::Samples(vec![1.0]));
}

#[tokio::test(start_paused = true)]
async fn setting_the_same_again_asks_nothing_twice() {
    let bed = bed();
    for moment in [0, 500, 1_500, 2_500] {
        bed.until(moment).await;
        bed.measurer.set(&key(), vec![ask("a", 1_000, 1_000)]);
    }
    bed.until(10_000).await;
    assert_eq!(bed.asked(), seen(&[(1_000, "a 1000")]));
}

#[tokio::test(start_paused = true)]
async fn a_token_is_asked_again_only_when_it_is_due_later() {
    let bed = bed();
    bed.measurer.set(&key(), vec![ask("a", 1_000, 10)]);
    bed.until(2_000).await;
    bed.measurer.set(&key(), vec![ask("a", 500, 10)]);
    bed.until(3_000).await;
    bed.measurer.set(&key(), vec![ask("a", 4_000, 10)]);
    bed.until(5_000).await;
    assert_eq!(bed.asked(), seen(&[(1_000, "a 10"), (4_000, "a 10")]));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_dropped_without_being_counted_is_asked_for_again() {
    let bed = bed();
    bed.measurer.set(&key(), vec![ask("a", 1_000, 10)]);
    bed.until(2_000).await;
    bed.measurer.persisted(&key(), at(2_000));
    bed.measurer.set(&key(), vec![ask("a", 1_000, 10)]);
    bed.until(3_000).await;
    assert_eq!(bed.asked(), seen(&[(1_000, "a 10"), (2_001, "a 10")]));
}

#[tokio::test(start_paused = true)]
async fn what_becomes_due_while_the_token_is_being_asked_waits_for_the_answer() {
    let bed = bed();
    bed.measurer.set(&key(), vec![ask("a", 0, 3_000)]);
    bed.until(1_000).await;
    bed.measurer.set(&key(), vec![ask("a", 2_000, 10)]);
    bed.until(5_000).await;
    assert_eq!(bed.asked(), seen(&[(0, "a 3000"), (3_000, "a 10")]));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_question_follows_what_the_plan_says_last() {
    let bed = bed();
    bed.measurer.set(&key(), vec![ask("sooner", 9_000, 1), ask("later", 1_000, 1), ask("other", 1_000, 1)]);
    bed.until(500).await;
    bed.measurer.set(&key(), vec![ask("sooner", 700, 1), ask("later", 5_000, 1), ask("other", 1_000, 7)]);
    bed.until(10_000).await;
    assert_eq!(bed.asked(), seen(&[(700, "sooner 1"), (1_000, "other 7"), (5_000, "later 1")]));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_listed_any_more_is_not_asked_and_its_answer_dropped() {
    let bed = bed();
    bed.measurer.set(&key(), vec![ask("asking", 0, 1_000), ask("waiting", 2_000, 1), ask("kept", 0, 1_000)]);
    bed.until(500).await;
    bed.measurer.set(&key(), vec![ask("kept", 0, 1_000)]);
    bed.until(5_000).await;
    let answers: Vec<_> = bed.answers().into_iter().map(|answer| answer.token.metric.name).collect();
    assert_eq!(answers, ["kept"]);
    assert_eq!((bed.asked().len(), bed.woken.lock().unwrap().len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_not_answered_in_time_is_an_error() {
    let bed = bed();
    bed.measurer.set(&key(), vec![ask("a", 0, 60_000)]);
    bed.until(11_000).await;
    let expected = Outcome::Error { query_is_wrong: false, message: "http://a: no answer within 10s".to_owned() };
    assert_eq!(bed.answers()[0].parts[0].outcome, expected);
}

/// Hanging questions to host a, of one Rollout.
fn hanging(bed: &Bed, key: &Key, questions: usize) {
    bed.measurer.set(key, (0..questions).map(|number| ask(&format!("hang {number}"), 0, 9_000)).collect());
}

/// A state that an earlier version has written may say anything.
#[tokio::test(start_paused = true)]
async fn no_question_waits_for_its_answer_for_longer_than_half_a_minute() {
    let bed = bed();
    let mut patient = ask("a", 0, 600_000);
    prometheus_of(&mut patient).timeout = Duration::from_hours(1);
    bed.measurer.set(&key(), vec![patient]);
    bed.until(31_000).await;
    let Outcome::Error { message, .. } = &bed.answers()[0].parts[0].outcome else { panic!("{:?}", bed.answers()) };
    assert_eq!(message, "http://a: no answer within 30s");
}

#[tokio::test(start_paused = true)]
async fn a_place_that_hangs_keeps_nobody_waiting_but_its_own() {
    let bed = bed();
    for number in 0..AT_ONCE {
        hanging(&bed, &Key::new(&format!("team-{number}"), "podinfo"), 4);
    }
    tokio::task::yield_now().await;
    let elsewhere = Question { source: question("b", "http://b").source, ..ask("b", 0, 1) };
    bed.measurer.set(&key(), vec![elsewhere]);
    bed.until(8_000).await;
    assert_eq!(bed.asked().len(), AT_ONCE + 1);
    assert_eq!(bed.answers().len(), 1);
    bed.until(50_000).await;
    assert_eq!(bed.asked().len(), AT_ONCE * 4 + 1);
}

#[tokio::test(start_paused = true)]
async fn slow_questions_of_one_rollout_delay_no_other_one_of_its_namespace() {
    let bed = bed();
    let slow = Key::new("shop", "slow");
    hanging(&bed, &slow, 10);
    bed.until(100).await;
    bed.measurer.set(&key(), vec![ask("a", 0, 10)]);
    bed.until(200).await;
    assert_eq!((bed.answers().len(), bed.asked().len()), (1, PER_ROLLOUT + 1));
    bed.until(60_000).await;
    assert_eq!(bed.measurer.answers(&slow).len(), 10, "they all get their turn");
}

/// Failing verdicts of everybody else are heard on time.
#[tokio::test(start_paused = true)]
async fn slow_questions_of_one_tenant_delay_nobody_else() {
    let bed = bed();
    for number in 0..50 {
        hanging(&bed, &Key::new("greedy", &number.to_string()), 64);
    }
    bed.until(100).await;
    assert_eq!(bed.asked().len(), AT_ONCE / 2);
    for (number, tenant) in ["b", "c", "d", "e"].iter().enumerate() {
        let (key, at_millis) = (Key::new(tenant, "podinfo"), 1_000 * (number as u64 + 1));
        bed.until(at_millis).await;
        bed.measurer.set(&key, vec![ask("a", 0, 10)]);
        bed.until(at_millis + 50).await;
        assert_eq!(bed.measurer.answers(&key).len(), 1, "{tenant}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_more_questions_than_a_rollout_can_have_the_first_are_kept() {
    let bed = bed();
    bed.measurer.set(&key(), (0..MOST_QUESTIONS * 2).map(|number| ask(&number.to_string(), 0, 1)).collect());
    bed.until(10_000).await;
    assert_eq!(bed.asked().len(), MOST_QUESTIONS);
}

#[tokio::test(start_paused = true)]
async fn answers_are_kept_until_they_are_persisted() {
    let bed = bed();
    bed.measurer.set(&key(), vec![ask("a", 0, 10), ask("b", 0, 20)]);
    bed.until(15).await;
    let seen_by_the_pass = bed.answers();
    bed.until(25).await;
    bed.measurer.persisted(&key(), seen_by_the_pass[0].at);
    let left: Vec<_> = bed.answers().into_iter().map(|answer| answer.token.metric.name).collect();
    assert_eq!(left, ["b"]);
}

#[tokio::test(start_paused = true)]
async fn answers_have_different_times_in_their_order_even_when_the_clock_goes_back() {
    let bed = bed_with(|elapsed| at(10_000) - elapsed);
    bed.measurer.set(&key(), vec![ask("a", 0, 10), ask("b", 0, 20), ask("c", 0, 10)]);
    bed.until(30).await;
    let answers = bed.answers();
    assert_eq!(answers.len(), 3);
    assert!(answers.windows(2).all(|pair| pair[0].at < pair[1].at), "{answers:?}");
    assert_eq!(answers[0].at, at(9_990));
}

#[tokio::test(start_paused = true)]
async fn a_question_is_asked_on_time_although_the_clock_was_set_forward() {
    let bed = bed_with(|elapsed| {
        let step = if elapsed > Duration::from_secs(5) { Duration::from_hours(1) } else { Duration::ZERO };
        Timestamp::UNIX_EPOCH + elapsed + step
    });
    bed.measurer.set(&key(), vec![ask("a", 3_600_000, 1)]);
    bed.until(11_000).await;
    assert_eq!(bed.asked(), seen(&[(10_000, "a 1")]));
}

#[tokio::test(start_paused = true)]
async fn with_too_many_answers_that_nobody_persists_nothing_more_is_asked() {
    let bed = bed();
    for round in 0..MOST_ANSWERS as u64 + 10 {
        bed.until(round * 10).await;
        bed.measurer.set(&key(), vec![ask("a", i64::try_from(round * 10).unwrap(), 1)]);
    }
    bed.until(10_000).await;
    assert_eq!(bed.asked().len(), MOST_ANSWERS);
    bed.measurer.persisted(&key(), at(10_000));
    bed.until(10_010).await;
    assert_eq!((bed.asked().len(), bed.answers().len()), (MOST_ANSWERS + 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_is_gone_leaves_nothing() {
    let bed = bed();
    bed.measurer.set(&key(), vec![ask("a", 0, 10), ask("b", 0, 1_000), ask("c", 500, 1)]);
    bed.until(100).await;
    bed.measurer.forget(&key());
    bed.until(5_000).await;
    assert_eq!((bed.asked().len(), bed.answers().len(), bed.woken.lock().unwrap().len()), (2, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_settled_rollout_takes_no_place() {
    let bed = bed();
    bed.measurer.set(&key(), Vec::new());
    bed.measurer.set(&key(), vec![ask("a", 0, 10)]);
    bed.until(100).await;
    bed.measurer.set(&key(), Vec::new());
    assert_eq!(bed.answers().len(), 1, "what was answered is still to be counted");
    bed.measurer.persisted(&key(), at(1_000));
    assert_eq!(bed.measurer.rollouts(), 0);
}
