//! From what was typed to the verb that does it, and from its outcome to the process's exit code.

use std::ffi::OsString;
use std::sync::Arc;

use clap::{CommandFactory, FromArgMatches};
use jiff::Timestamp;
use leadsman_core::spec;

use crate::args::{self, Cli, CompletionWhat, SetWhat, Verb};
use crate::cluster::Cluster;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Environment, Screen};
use crate::session::Session;
use crate::{act, completion, connect, help, live, read, status};

/// The whole program: gives what the process ends with.
pub fn start(words: impl IntoIterator<Item = OsString>, environment: Environment) -> u8 {
    let words: Vec<_> = words.into_iter().collect();
    if let Some(so_far) = completion::asked_for(&words) {
        return completion::complete(&so_far);
    }
    let command = Cli::command().override_help(help::first_page());
    let matches = command.try_get_matches_from(args::spelled_out(words));
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Where it cannot even be printed, there is nobody to tell.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.code());
        }
    };
    let mut screen = Screen::of_process(&cli.common, &environment);
    let outcome = match &cli.verb {
        None => screen.write(&help::first_page()).map(|()| Exit::Done),
        Some(Verb::Completion(completion)) if completion.what == CompletionWhat::Install => {
            completion::install(&mut screen)
        }
        Some(Verb::Completion(completion)) => completion::script(&mut screen, completion.what),
        Some(verb) => return connected(&cli.common, verb, screen, environment),
    };
    ended(&mut screen, outcome)
}

/// What needs a cluster.
fn connected(common: &args::Common, verb: &Verb, mut screen: Screen, environment: Environment) -> u8 {
    if common.v >= 6 {
        show_requests();
    }
    let runtime = prepare().and_then(|()| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| Failure::new(Exit::Unknown, format!("cannot start: {error}")))
    });
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(failure) => return ended(&mut screen, Err(failure)),
    };
    runtime.block_on(async {
        let (client, namespace) = match connect::connect(common).await {
            Ok(connected) => connected,
            Err(failure) => return ended(&mut screen, Err(failure)),
        };
        let cluster = Cluster::new(client, common.request_timeout);
        let clock = Arc::new(Timestamp::now);
        let mut session = Session { cluster, namespace, screen, environment, clock };
        let outcome = run(&mut session, verb).await;
        ended(&mut session.screen, outcome)
    })
}

/// Does what a verb says.
///
/// # Errors
/// Why it came to nothing.
pub async fn run(session: &mut Session, verb: &Verb) -> Outcome {
    match verb {
        Verb::List(args) => read::list(session, args).await,
        Verb::Get(args) if args.watch => live::watch(session, args).await,
        Verb::Get(args) => read::get(session, args).await,
        Verb::Status(args) => status::status(session, args).await,
        Verb::Explain(args) => read::explain(session, args).await,
        Verb::History(args) => read::history(session, args).await,
        Verb::Diff(args) => read::diff(session, args).await,
        Verb::Logs(args) => read::logs(session, args).await,
        Verb::Promote(args) => act::promote(session, args).await,
        Verb::Abort(args) => act::act(session, spec::Verb::Abort, args).await,
        Verb::Retry(args) => act::act(session, spec::Verb::Retry, args).await,
        Verb::Pause(args) => act::act(session, spec::Verb::Pause, args).await,
        Verb::Resume(args) => act::act(session, spec::Verb::Resume, args).await,
        Verb::Rollback(args) => act::rollback(session, args).await,
        Verb::Restart(args) => act::restart(session, args).await,
        Verb::Set(args) => match &args.what {
            SetWhat::Image(args) => act::set_image(session, args).await,
        },
        Verb::Doctor(args) => read::doctor(session, args).await,
        Verb::Version(args) => read::version(session, args).await,
        // It needs no cluster, and was done before.
        Verb::Completion(_) => Ok(Exit::Done),
    }
}

fn ended(screen: &mut Screen, outcome: Outcome) -> u8 {
    match outcome {
        Ok(exit) => exit.code(),
        Err(failure) => {
            screen.complain(&failure.to_string());
            failure.exit.code()
        }
    }
}

/// TLS by the one provider that is built in.
pub(crate) fn prepare() -> Result<(), Failure> {
    let installed = rustls::crypto::ring::default_provider().install_default();
    installed.map_err(|_| Failure::new(Exit::Unknown, "another TLS provider is installed already"))
}

fn show_requests() {
    let filter = tracing_subscriber::EnvFilter::new("kube_client=debug,tower=info");
    // A second one cannot be there: this is the beginning of the process.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).try_init();
}
