//! The process that is killed: a store behind a Unix socket.
//!
//! One line of JSON asks, one answers; a connection that asks for a watch gets lines until it ends.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use store::{Store, StoreConfig, failpoints};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
};

use crate::backend::{Backend, Listing, Revision, Said, Transaction, Unread, Version, Written, local::Local};

/// What a client asks.
#[derive(Debug, Serialize, Deserialize)]
pub enum Question {
    Write(Transaction),
    Get(String),
    List(String, Option<Revision>),
    Watch(String, Revision),
    Compact(Revision),
}

/// What it is told.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    Wrote(Written),
    Got(Option<Version>, Option<Revision>),
    Listed(Listing),
    Said(Said),
    Unread(Unread),
    Done,
}

/// The one line on standard output, when clients may come.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ready {
    pub kept: Revision,
    pub revision: Revision,
}

#[derive(clap::Args)]
pub struct Options {
    #[arg(long)]
    pub dir: PathBuf,
    #[arg(long)]
    pub socket: PathBuf,
    /// Dies there: `place:nth`.
    #[arg(long)]
    pub die: Option<String>,
}

/// Serves until it is killed, or told to stop.
pub async fn run(options: Options) -> anyhow::Result<()> {
    if let Some((place, nth)) = options.die.as_deref().and_then(|die| die.split_once(':')) {
        failpoints::die_at(place, nth.parse().context("a number of times")?);
    }
    let config = StoreConfig {
        history_bytes: 1 << 20,
        history_revisions: 3000,
        segment_bytes: 6 << 10,
        checkpoint_bytes: 8 << 10,
        slack_bytes: 256 << 10,
        relaxed_delay: Duration::from_millis(20),
        ..StoreConfig::new(options.dir)
    };
    let store = Store::open(config)?;
    let listener = UnixListener::bind(&options.socket)?;
    let ready = Ready { kept: store.recovery().kept.0, revision: store.revision().0 };
    println!("{}", serde_json::to_string(&ready)?);
    let backend = Arc::new(Local(store));
    let mut tasks = tokio::task::JoinSet::new();
    let mut stop = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        let (stream, _) = tokio::select! {
            stream = listener.accept() => stream?,
            _ = stop.recv() => {
                backend.0.close().await;
                return Ok(());
            }
        };
        // A client that goes away is no reason to end.
        let backend = backend.clone();
        tasks.spawn(async move { serve(stream, backend).await.ok() });
    }
}

async fn serve(stream: UnixStream, backend: Arc<Local>) -> anyhow::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        let reply = match serde_json::from_str(&line)? {
            Question::Write(transaction) => Reply::Wrote(backend.write(transaction).await),
            Question::Get(key) => match backend.get(&key).await {
                Ok((version, revision)) => Reply::Got(version, revision),
                Err(unread) => Reply::Unread(unread),
            },
            Question::List(prefix, at) => match backend.list(&prefix, at).await {
                Ok(listing) => Reply::Listed(listing),
                Err(unread) => Reply::Unread(unread),
            },
            Question::Compact(revision) => {
                backend.compact(revision).await;
                Reply::Done
            }
            Question::Watch(prefix, after) => return watch(&backend, &prefix, after, &mut write).await,
        };
        send(&mut write, &reply).await?;
    }
    Ok(())
}

async fn watch(
    backend: &Local,
    prefix: &str,
    after: Revision,
    write: &mut tokio::net::unix::OwnedWriteHalf,
) -> anyhow::Result<()> {
    /// A watch with nothing to say says how far it has come.
    const QUIET: Duration = Duration::from_millis(5);
    let mut watch = match backend.watch(prefix, after).await {
        Ok(watch) => watch,
        Err(unread) => return send(write, &Reply::Unread(unread)).await,
    };
    send(write, &Reply::Done).await?;
    let mut bookmark = 0;
    loop {
        match tokio::time::timeout(QUIET, watch.next()).await {
            Ok(Some(said)) => send(write, &Reply::Said(said)).await?,
            Ok(None) => return Ok(()),
            Err(_) => {
                let progress = watch.progress().await.unwrap_or_default();
                if progress > bookmark {
                    bookmark = progress;
                    send(write, &Reply::Said(Said::Bookmark(progress))).await?;
                }
            }
        }
    }
}

async fn send(write: &mut tokio::net::unix::OwnedWriteHalf, reply: &Reply) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    Ok(write.write_all(&line).await?)
}
