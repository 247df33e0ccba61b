//! `knarr agent`.

use clap::Args;

use crate::{agent_settings::AgentSettings, run};

#[derive(Args)]
pub(crate) struct Agent {
    #[command(flatten)]
    settings: AgentSettings,
}

impl Agent {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let config = self.settings.config()?;
        run::until_stopped(supervisor::agent(config))
    }
}
