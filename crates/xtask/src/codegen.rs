//! Generators of committed code. Each names its source, writes one file, and gives the same output for the same input.

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Generator {}

impl Generator {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {}
    }
}
