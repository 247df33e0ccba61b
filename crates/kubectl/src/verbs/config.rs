//! `kubectl config`: what is in the kubeconfig. It is never changed here.

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::{
    connection,
    failure::{Failure, Result, refuse},
    flags::Flags,
    output::{self, Columns},
    server::print,
};

#[derive(Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Print the name of the context in force
    CurrentContext,
    /// List contexts
    GetContexts,
    /// Print the kubeconfig, without keys and tokens unless asked for
    View {
        /// With keys and tokens
        #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
        raw: bool,
        /// Only what the current context uses
        #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
        minify: bool,
    },
}

/// Values nobody sees by accident, and what stands for them.
const SECRET: [(&str, &str); 5] = [
    ("certificate-authority-data", "DATA+OMITTED"),
    ("client-certificate-data", "DATA+OMITTED"),
    ("client-key-data", "DATA+OMITTED"),
    ("token", "REDACTED"),
    ("password", "REDACTED"),
];

impl Config {
    pub(crate) fn run(self, flags: &Flags) -> Result {
        let mut config = connection::load(flags)?;
        if let Some(context) = &flags.context {
            config.current_context = Some(context.clone());
        }
        let current = config.current_context.clone().unwrap_or_default();
        match self.what {
            What::CurrentContext if current.is_empty() => refuse("current-context is not set"),
            What::CurrentContext => print(&format!("{current}\n")),
            What::GetContexts => {
                let mut rows =
                    vec![["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"].map(str::to_owned).to_vec()];
                for named in &config.contexts {
                    let context = named.context.clone().unwrap_or_default();
                    let mark = if named.name == current { "*" } else { "" };
                    rows.push(vec![
                        mark.to_owned(),
                        named.name.clone(),
                        context.cluster,
                        context.user.unwrap_or_default(),
                        context.namespace.unwrap_or_default(),
                    ]);
                }
                print(&Columns::default().lines(&rows))
            }
            What::View { raw, minify } => {
                if minify {
                    config.contexts.retain(|c| c.name == current);
                    let used = config.contexts.first().and_then(|c| c.context.clone()).unwrap_or_default();
                    config.clusters.retain(|c| c.name == used.cluster);
                    config.auth_infos.retain(|a| Some(&a.name) == used.user.as_ref());
                }
                let mut tree = serde_json::to_value(&config).map_err(|e| Failure::Request { reason: e.to_string() })?;
                if !raw {
                    redact(&mut tree);
                }
                print(&output::yaml(&tree))
            }
        }
    }
}

fn redact(tree: &mut Value) {
    match tree {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match SECRET.iter().find(|(name, _)| name == key) {
                    Some((_, shown)) if value.is_string() => *value = (*shown).into(),
                    _ => redact(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}
