//! `knarr token`.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};

use crate::{run, settings::DEFAULT_DATA_DIR};

#[derive(Subcommand)]
pub(crate) enum Token {
    /// Make a token and print it
    Create {
        /// How long it is good for, such as 30m, 24h or 7d; 0 for ever
        #[arg(long, default_value = "24h", value_name = "TIME")]
        ttl: String,
        /// What it is for
        #[arg(long, default_value = "", value_name = "TEXT")]
        description: String,
        /// Only for this node, which may be known already: lets a node in again whose certificate has ended
        #[arg(long, value_name = "NAME")]
        node: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// List tokens, without their secrets
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Delete tokens by id, or by the whole token
    #[command(visible_alias = "rm")]
    Delete {
        #[arg(required = true, value_name = "TOKEN")]
        tokens: Vec<String>,
        #[command(flatten)]
        place: Place,
    },
}

/// Whose tokens.
#[derive(Args)]
pub(crate) struct Place {
    /// The server's data folder
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA_DIR)]
    data_dir: PathBuf,
}

impl Token {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Create { ttl, description, node, place } => {
                let life = duration(&ttl)?;
                let made = supervisor::create_token(&place.data_dir, life, &description, node.as_deref());
                let token = run::to_end(made)?;
                println!("{}", token.reveal());
                Ok(())
            }
            Self::List { place } => {
                let tokens = run::to_end(supervisor::list_tokens(&place.data_dir))?;
                println!("{:<8}{:<24}DESCRIPTION", "ID", "EXPIRES");
                for token in tokens {
                    println!("{:<8}{:<24}{}", token.id, token.expires.as_deref().unwrap_or("never"), token.description);
                }
                Ok(())
            }
            Self::Delete { tokens, place } => {
                for token in tokens {
                    let id = run::to_end(supervisor::delete_token(&place.data_dir, &token))?;
                    println!("{id} deleted");
                }
                Ok(())
            }
        }
    }
}

/// A number and `s`, `m`, `h` or `d`; plain 0.
pub(crate) fn duration(text: &str) -> anyhow::Result<Duration> {
    let form = || format!("{text:?} is no time like 30m, 24h or 7d");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    ensure!(text.is_ascii() && text.len() > 1, form());
    let (number, unit) = text.split_at(text.len() - 1);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => anyhow::bail!(form()),
    };
    let number: u64 = number.parse().with_context(form)?;
    Ok(Duration::from_secs(number.checked_mul(seconds).with_context(form)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(duration("24h").ok(), Some(Duration::from_secs(86_400)));
        assert_eq!(duration("0").ok(), Some(Duration::ZERO));
        for wrong in ["", "h", "24", "1w", "-1h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
