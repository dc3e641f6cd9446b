//! What all scenarios have in common.

use std::future::Future;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use leadsman_e2e::audit::seconds;
use leadsman_e2e::routes::RouteName;
use leadsman_e2e::timeline::weights;
use leadsman_e2e::{
    Cluster, Namespace, Operator, Setup, Wire, account, figures, recorded, rights, runtime, with_namespace,
};
use libtest_mimic::{Conclusion, Trial};

/// A scenario with an operator of its own.
pub fn scenario<F, S>(name: impl Into<String>, body: F) -> Trial
where
    F: FnOnce(Arc<Namespace>) -> S + Send + 'static,
    S: Future<Output = Result<()>> + Send + 'static,
{
    scenario_as(name, Setup::default(), body)
}

/// The same with an operator that is installed in another way.
pub fn scenario_as<F, S>(name: impl Into<String>, setup: Setup<'static>, body: F) -> Trial
where
    F: FnOnce(Arc<Namespace>) -> S + Send + 'static,
    S: Future<Output = Result<()>> + Send + 'static,
{
    scenario_without_operator(name, move |namespace| async move {
        Operator::install_as(&namespace, setup).await?;
        let outcome = body(Arc::clone(&namespace)).await;
        conclude_scenario(&namespace, outcome).await?;
        ensure!(Operator::of(&namespace).restarts().await? == 0, "the operator ended by itself");
        Ok(())
    })
}

/// A scenario whose operator, with so many standbys, reaches the API server by a wire that can fail. Its processes may
/// end: who cannot renew its lease has to.
pub fn scenario_on_the_wire<F, S>(name: impl Into<String>, standbys: i32, body: F) -> Trial
where
    F: FnOnce(Arc<Namespace>, Arc<Wire>) -> S + Send + 'static,
    S: Future<Output = Result<()>> + Send + 'static,
{
    scenario_without_operator(name, move |namespace| async move {
        let wire = Arc::new(Wire::start(namespace.cluster, &namespace.name).await?);
        Operator::install_as(&namespace, Setup { standbys, wire: Some(&wire), ..Setup::default() }).await?;
        let outcome = body(Arc::clone(&namespace), Arc::clone(&wire)).await;
        conclude_scenario(&namespace, outcome).await
    })
}

/// What every operator is held to at the end.
async fn conclude_scenario(namespace: &Namespace, outcome: Result<()>) -> Result<()> {
    let operator = Operator::of(namespace);
    operator.expect_to_be_alone()?;
    outcome?;
    if recorded::records() {
        recorded::add_situations(&namespace.requests()?, &namespace.name)?;
    }
    operator.expect_nothing_forbidden()?;
    namespace.expect_sound_history(&operator.user()).await
}

/// How scenarios failed, for the end of what is printed.
static FAILURES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A scenario that needs none.
pub fn scenario_without_operator<F, S>(name: impl Into<String>, body: F) -> Trial
where
    F: FnOnce(Arc<Namespace>) -> S + Send + 'static,
    S: Future<Output = Result<()>> + Send + 'static,
{
    let name = name.into();
    Trial::test(name.clone(), move || {
        runtime::block_on(async {
            Cluster::get().await?;
            let began = Instant::now();
            let outcome = with_namespace(&name, body).await;
            // At once: a run that is ended has no list of failures.
            if let Err(error) = &outcome {
                let said = format!("{name} failed:\n{}", beginning(&format!("{error:#}")));
                eprintln!("\n{said}");
                FAILURES.lock().unwrap_or_else(PoisonError::into_inner).push(said);
            }
            figures::record(&name, "seconds", figures::rounded(began.elapsed().as_secs_f64()));
            outcome
        })
        .map_err(|error| format!("{error:#}").into())
    })
}

/// Brings the cluster up before the first scenario, which would wait for it, as would all after it.
pub fn prepare() -> Result<()> {
    runtime::block_on(Cluster::get()).map(drop)
}

/// As much of an error as tells which it is.
fn beginning(error: &str) -> String {
    error.lines().take(40).map(|line| line.chars().take(600).collect::<String>() + "\n").collect()
}

/// How long after `instant` the canary's weight was 0 in a route for good, by the end of the write; seconds.
pub fn zero_after(namespace: &Namespace, route: &RouteName, instant: f64) -> Result<f64> {
    let weights = weights(&namespace.requests()?, route);
    let last = weights.last().context("no weight was ever written")?;
    ensure!(last.to == 0.0, "the canary's last weight is {}", last.to);
    ensure!(weights.iter().any(|it| it.to > 0.0), "the canary never had a weight");
    Ok(last.done - instant)
}

/// Set by `cargo xtask test --full`: scenarios that take many minutes take them.
const FULL_VARIABLE: &str = "LEADSMAN_FULL";

/// Whether there is time for everything.
pub fn full() -> bool {
    std::env::var(FULL_VARIABLE).is_ok_and(|value| !value.is_empty() && value != "0")
}

/// Now, as records count.
pub fn now() -> f64 {
    seconds(jiff::Timestamp::now())
}

/// Figures, the level of the checks, and the line that tools look for, as the last.
pub fn conclude(conclusion: &Conclusion, is_whole: bool) -> ExitCode {
    let mut passed = !conclusion.has_failed();
    println!("{}", figures::table());
    match account::expect_few_enough_checks() {
        Ok(checks) => println!("{checks} shares were checked"),
        Err(error) => {
            println!("{error:#}");
            passed = false;
        }
    }
    // What was left out may need what the rest does not.
    if is_whole
        && conclusion.num_failed == 0
        && let Err(error) = rights::expect_all_used()
    {
        println!("{error:#}");
        passed = false;
    }
    let written = runtime::block_on(async { figures::write(&Cluster::get().await?.output) });
    if let Err(error) = written {
        println!("figures.json: {error:#}");
        passed = false;
    }
    // Where only the end of a log is kept, it says why.
    for failure in FAILURES.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        println!("\n{failure}");
    }
    let Conclusion { num_passed, num_failed, num_ignored, num_filtered_out, .. } = conclusion;
    println!(
        "\ntest result: {}. {num_passed} passed; {num_failed} failed; {num_ignored} ignored; 0 measured; \
         {num_filtered_out} filtered out",
        if passed { "ok" } else { "FAILED" }
    );
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
