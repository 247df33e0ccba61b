//! `knarr server`.

use clap::Args;

use crate::{run, settings::ClusterSettings};

#[derive(Args)]
pub(crate) struct Server {
    #[command(flatten)]
    settings: ClusterSettings,
}

impl Server {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let config = self.settings.config()?;
        run::until_stopped(supervisor::server(config))
    }
}
