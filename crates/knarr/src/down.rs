//! `knarr down`.

use anyhow::Context;
use clap::Args;

use crate::{run, settings::ClusterSettings};

#[derive(Args)]
pub(crate) struct Down {
    #[command(flatten)]
    settings: ClusterSettings,
    /// Delete the data folder too: all objects, keys and images
    #[arg(long)]
    delete_data: bool,
}

impl Down {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let config = self.settings.config()?;
        run::to_end(async {
            // A node that joined knows its networks from its server, not from flags.
            if supervisor::tear_down_agent(&config.node).await? { Ok(()) } else { supervisor::tear_down(&config).await }
        })?;
        let dir = &config.apiserver.data_dir;
        if self.delete_data && dir.exists() {
            std::fs::remove_dir_all(dir).with_context(|| format!("delete {}", dir.display()))?;
        }
        Ok(())
    }
}
