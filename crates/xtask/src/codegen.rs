//! Generators of committed code. Each names its source, writes one file, and gives the same output for the same input.

mod schema;

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Generator {
    /// The schema table, from `_definitions.json` of the Python package kubernetes-validate.
    Schema {
        #[arg(long)]
        definitions: PathBuf,
        #[arg(long, default_value = "crates/schema/src/builtin/v1_37.txt")]
        output: PathBuf,
    },
}

impl Generator {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Schema { definitions, output } => schema::run(&definitions, &output),
        }
    }
}
