//! Kubernetes in one executable.

mod apiserver;
mod run;
mod settings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Kubernetes in one executable.
#[derive(Parser)]
#[command(name = "knarr", version, propagate_version = true, subcommand_required = true)]
struct Knarr {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run an API server alone: no controllers, no scheduler, no node.
    Apiserver(apiserver::Apiserver),
}

fn main() -> ExitCode {
    let result = match Knarr::parse().command {
        Command::Apiserver(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("knarr: {error:#}");
            ExitCode::FAILURE
        }
    }
}
