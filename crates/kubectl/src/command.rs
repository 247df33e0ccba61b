//! What was typed, and the verb that does it.

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand, error::ErrorKind};

use crate::{failure::Result, flags::Flags, server::Server, verbs};

/// Control a Kubernetes cluster, with kubectl's verbs.
#[derive(Parser)]
#[command(name = "kubectl", bin_name = "knarr kubectl", subcommand_required = true, arg_required_else_help = true,
    disable_help_subcommand = true, after_help = ABSENT)]
struct Kubectl {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    verb: Verb,
}

const ABSENT: &str = "Absent: describe, edit, diff, explain, run, expose, rollout, set, autoscale, attach, port-forward, cp, \
    top, drain, taint, auth, certificate, debug, kustomize, plugins. Upstream's kubectl has them and works with this server.";

#[derive(Subcommand)]
enum Verb {
    /// Show objects
    Get(verbs::get::Get),
    /// Make objects be as files say
    Apply(verbs::apply::Apply),
    /// Create objects from files
    Create(verbs::create::Create),
    /// Delete objects
    Delete(verbs::delete::Delete),
    /// Print what a container wrote
    #[command(visible_alias = "log")]
    Logs(verbs::logs::Logs),
    /// Run a command in a container
    Exec(verbs::exec::Exec),
    /// Change fields of an object by a patch
    Patch(verbs::patch::Patch),
    /// Set the number of replicas
    Scale(verbs::scale::Scale),
    /// Set or remove labels
    Label(verbs::label::Pairs),
    /// Set or remove annotations
    Annotate(verbs::label::Pairs),
    /// Keep new pods away from a node
    Cordon(verbs::cordon::Nodes),
    /// Let pods onto a node again
    Uncordon(verbs::cordon::Nodes),
    /// List what the server serves
    ApiResources(verbs::api_resources::ApiResources),
    /// List the groups and versions the server serves
    ApiVersions(verbs::api_resources::ApiVersions),
    /// Show the kubeconfig in force
    Config(verbs::config::Config),
    /// Show the versions of client and server
    Version(verbs::version::Version),
    #[command(external_subcommand)]
    Unknown(Vec<OsString>),
}

/// Runs kubectl with these words, the program's name first. Makes its own runtime.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let typed = match Kubectl::try_parse_from(words) {
        Ok(typed) => typed,
        Err(error) => return misuse(&error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: start the async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(perform(typed));
    // A read of the terminal cannot be called off; nobody waits for it.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.report()),
    }
}

async fn perform(typed: Kubectl) -> Result {
    let Kubectl { flags, verb } = typed;
    match verb {
        Verb::Config(verb) => return verb.run(&flags),
        Verb::Version(verb) => return verb.run(&flags).await,
        Verb::Unknown(words) => return unknown(&words),
        _ => {}
    }
    let server = Server::connect(&flags).await?;
    match verb {
        Verb::Get(verb) => verb.run(&server).await,
        Verb::Apply(verb) => verb.run(&server).await,
        Verb::Create(verb) => verb.run(&server).await,
        Verb::Delete(verb) => verb.run(&server).await,
        Verb::Logs(verb) => verb.run(&server).await,
        Verb::Exec(verb) => verb.run(&server).await,
        Verb::Patch(verb) => verb.run(&server).await,
        Verb::Scale(verb) => verb.run(&server).await,
        Verb::Label(verb) => verb.run(&server, "labels", "labeled", "unlabeled").await,
        Verb::Annotate(verb) => verb.run(&server, "annotations", "annotated", "annotated").await,
        Verb::Cordon(verb) => verb.run(&server, true).await,
        Verb::Uncordon(verb) => verb.run(&server, false).await,
        Verb::ApiResources(verb) => verb.run(&server).await,
        Verb::ApiVersions(verb) => verb.run(&server).await,
        Verb::Config(_) | Verb::Version(_) | Verb::Unknown(_) => Ok(()),
    }
}

fn unknown(words: &[OsString]) -> Result {
    let word = words.first().map(|w| w.to_string_lossy().into_owned()).unwrap_or_default();
    let known = [
        "get",
        "apply",
        "create",
        "delete",
        "logs",
        "exec",
        "patch",
        "scale",
        "label",
        "annotate",
        "cordon",
        "uncordon",
        "api-resources",
        "api-versions",
        "config",
        "version",
    ];
    eprintln!("error: unknown command {word:?} for \"kubectl\": this kubectl has {}", known.join(", "));
    Err(crate::failure::Failure::Told { code: 1 })
}

/// What cannot be parsed, in upstream's words where it has any.
fn misuse(error: &clap::Error) -> ExitCode {
    let context = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            drop(error.print());
            return ExitCode::SUCCESS;
        }
        ErrorKind::UnknownArgument => {
            let typed = context(clap::error::ContextKind::InvalidArg);
            match typed.strip_prefix("--") {
                Some(_) => eprintln!("error: unknown flag: {typed}"),
                None if typed.starts_with('-') => {
                    let short = typed.trim_start_matches('-');
                    eprintln!("error: unknown shorthand flag: '{short}' in -{short}");
                }
                None => eprintln!("error: unexpected argument: {typed}"),
            }
            eprintln!("See 'kubectl --help' for usage.");
        }
        _ => drop(error.print()),
    }
    ExitCode::FAILURE
}
