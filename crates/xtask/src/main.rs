//! The project's own chores: `cargo xtask ci`, `arch`, `codegen`, `robustness`.

mod arch;
mod ci;
mod codegen;
mod robustness;

use clap::Parser;

#[derive(Parser)]
enum Task {
    /// Format check, lints, arrows, tests, docs: all that must hold for a change to land.
    Ci,
    /// Check the arrows between crates against architecture.toml.
    Arch,
    /// Generate committed code from its sources.
    #[command(subcommand)]
    Codegen(codegen::Generator),
    /// Random clients and faults against the store, with ever new seeds, until one fails or the time is over.
    Robustness(robustness::Robustness),
}

fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Ci => ci::run(),
        Task::Arch => arch::check(),
        Task::Codegen(generator) => generator.run(),
        Task::Robustness(robustness) => robustness.run(),
    }
}
