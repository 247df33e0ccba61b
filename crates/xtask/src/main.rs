//! The project's own chores: `cargo xtask ci`, `arch`, `codegen`.

mod arch;
mod ci;
mod codegen;

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
}

fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Ci => ci::run(),
        Task::Arch => arch::check(),
        Task::Codegen(generator) => generator.run(),
    }
}
