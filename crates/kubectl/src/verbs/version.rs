//! `kubectl version`.

use clap::Args;
use serde_json::json;

use crate::{
    failure::{Result, refuse},
    flags::Flags,
    manifest::text_at,
    output,
    server::{JSON, Server, print},
};

/// The version of the API whose kubectl this is.
const CLIENT: &str = "v1.37.0";

#[derive(Args)]
pub(crate) struct Version {
    /// Of the client only
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    client: bool,
    /// Format: yaml or json
    #[arg(short, long)]
    output: Option<String>,
}

impl Version {
    pub(crate) async fn run(self, flags: &Flags) -> Result {
        if !matches!(self.output.as_deref(), None | Some("json" | "yaml")) {
            return refuse("--output must be 'yaml' or 'json'");
        }
        let own = json!({"major": "1", "minor": "37", "gitVersion": CLIENT, "platform": platform()});
        let mut versions = json!({"clientVersion": own});
        let mut failed = Ok(());
        if !self.client {
            let asked = async { Server::connect(flags).await?.get("/version", JSON).await };
            match asked.await {
                Ok(version) => versions["serverVersion"] = version,
                Err(failure) => failed = Err(failure),
            }
        }
        match self.output.as_deref() {
            Some("json") => {
                let text = serde_json::to_string_pretty(&versions).unwrap_or_default();
                print(&format!("{text}\n"))?;
            }
            Some(_) => print(&output::yaml(&versions))?,
            None => {
                print(&format!("Client Version: {CLIENT}\n"))?;
                if let Some(server) = versions.get("serverVersion") {
                    print(&format!("Server Version: {}\n", text_at(server, "/gitVersion")))?;
                }
            }
        }
        failed
    }
}

fn platform() -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("linux/{arch}")
}
