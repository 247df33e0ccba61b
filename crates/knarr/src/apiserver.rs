//! `knarr apiserver`.

use std::path::PathBuf;

use clap::Args;

use crate::{apiserver_settings::ApiServerSettings, run, settings};

#[derive(Args)]
pub(crate) struct Apiserver {
    /// YAML file with the same names as the flags
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: ApiServerSettings,
}

impl Apiserver {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let file = self.config.as_deref().map(settings::read).transpose()?.unwrap_or_default();
        let config = self.settings.or(file).config()?;
        run::until_stopped(supervisor::apiserver(config))
    }
}
