//! Kubernetes in one executable.

mod agent;
mod agent_settings;
mod apiserver;
mod apiserver_settings;
mod datastore_settings;
mod down;
mod image;
mod kubelet_settings;
mod memory;
mod node_settings;
mod run;
mod server;
mod settings;
mod store;
mod token;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Kubernetes in one executable.
#[derive(Parser)]
#[command(name = "knarr", version, propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
struct Knarr {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a cluster on this machine: control plane and node in one process
    Server(server::Server),
    /// Run a node that joins a server on another machine
    Agent(agent::Agent),
    /// Make, list and delete the tokens by which nodes join; on the server's machine
    #[command(subcommand)]
    Token(token::Token),
    /// End the cluster on this machine: its daemon, pods, network and rules; the data stay
    Down(down::Down),
    /// Run an API server alone: no controllers, no scheduler, no node
    Apiserver(apiserver::Apiserver),
    /// Bring container images to this machine's node, list them, remove them
    #[command(subcommand)]
    Image(image::Image),
    /// Control a cluster: get, apply, delete, logs, exec and more of kubectl's verbs
    #[command(disable_help_flag = true)]
    Kubectl {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        words: Vec<OsString>,
    },
    /// Look at the cluster's store; save, check and restore it
    #[command(subcommand)]
    Store(store::Store),
}

/// Takes `--open-files` from the words: containers get the limit the daemon was given, not the one it has taken.
fn with_fewer_files(words: &[String]) -> &[String] {
    let Some(given) = words.first().and_then(|word| word.strip_prefix("--open-files=")) else { return words };
    if let (Ok(given), Ok((_, hard))) = (given.parse(), getrlimit(Resource::RLIMIT_NOFILE)) {
        // A limit that cannot be lowered stays; the pods run with it.
        setrlimit(Resource::RLIMIT_NOFILE, given, hard).unwrap_or_default();
    }
    &words[1..]
}

fn main() -> ExitCode {
    // Before any thread exists: shims fork.
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).map(String::as_str) == Some("shim") {
        let words = with_fewer_files(&arguments[2..]);
        let code = container_runtime::shim::main(words);
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    if arguments.get(1).map(String::as_str) == Some("kubectl") {
        return kubectl::run(std::env::args_os().skip(1));
    }
    let result = match Knarr::parse().command {
        Command::Server(command) => command.run(),
        Command::Agent(command) => command.run(),
        Command::Token(command) => command.run(),
        Command::Down(command) => command.run(),
        Command::Apiserver(command) => command.run(),
        Command::Image(command) => command.run(),
        Command::Kubectl { words } => return kubectl::run([OsString::from("kubectl")].into_iter().chain(words)),
        Command::Store(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("knarr: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes; some of them tell their cause themselves.
fn one_line(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        before if before.ends_with(&cause) => told,
        before => format!("{before}: {cause}"),
    })
}
