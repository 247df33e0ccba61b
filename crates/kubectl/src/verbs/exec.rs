//! `kubectl exec`: a command in a container, with our terminal if wanted.

mod terminal;

use api::meta::Status;
use clap::Args;
use client::{AttachParams, AttachedProcess};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    failure::{Failure, Result, refuse},
    manifest::text_at,
    pods,
    server::{Server, print_bytes},
};
use terminal::Terminal;

/// What is read from a stream at once.
const CHUNK_BYTES: usize = 32 * 1024;

#[derive(Args)]
pub(crate) struct Exec {
    #[arg(value_name = "POD | TYPE/NAME")]
    target: String,
    /// The container
    #[arg(short, long)]
    container: Option<String>,
    /// Pass our standard input
    #[arg(short = 'i', long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    stdin: bool,
    /// Standard input is a terminal
    #[arg(short = 't', long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    tty: bool,
    /// Say nothing but what the command says
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    quiet: bool,
    /// The command, behind --
    #[arg(last = true)]
    command: Vec<String>,
}

impl Exec {
    pub(crate) async fn run(self, server: &Server) -> Result {
        if self.command.is_empty() {
            return refuse("you must specify at least one command for the container");
        }
        let pod = pods::find(server, &self.target).await?.remove(0);
        let name = text_at(&pod, "/metadata/name").to_owned();
        let phase = text_at(&pod, "/status/phase");
        if phase == "Succeeded" || phase == "Failed" {
            return refuse(format!("cannot exec into a container in a completed pod; current phase is {phase}"));
        }
        let container = match &self.container {
            Some(name) => name.clone(),
            None => pods::default_container(&pod)?,
        };
        let terminal = if self.tty && self.stdin { Terminal::raw() } else { None };
        if self.tty && terminal.is_none() {
            eprintln!("Unable to use a TTY - input is not a terminal or the right kind of file");
        }
        let tty = terminal.is_some();
        let params = AttachParams::default().stdin(self.stdin).stdout(true).stderr(!tty).tty(tty).container(container);
        let api = server.client.namespaced::<api::core::v1::Pod>(&server.namespace);
        let mut process =
            api.exec(&name, self.command.clone(), &params).await.map_err(|e| Failure::from_client(e, &server.host))?;
        let status = converse(&mut process, terminal.as_ref()).await?;
        drop(terminal);
        ended(status)
    }
}

/// Passes everything until the command has ended; then its status.
async fn converse(process: &mut AttachedProcess, terminal: Option<&Terminal>) -> Result<Option<Status>> {
    let status = process.take_status();
    let sizes = process.terminal_size();
    let stdin = process.stdin();
    let (stdout, stderr) = (process.stdout(), process.stderr());
    let send = async {
        if let Some(stdin) = stdin {
            pass_input(stdin).await;
        }
        std::future::pending::<()>().await;
    };
    let resize = async {
        if let (Some(terminal), Some(sizes)) = (terminal, sizes) {
            terminal.send_sizes(sizes).await;
        }
        std::future::pending::<()>().await;
    };
    let receive = async {
        let out = async { if let Some(stream) = stdout { pass_output(stream, print_bytes).await } else { Ok(()) } };
        let err = async { if let Some(stream) = stderr { pass_output(stream, print_errors).await } else { Ok(()) } };
        let (out, err) = tokio::join!(out, err);
        out.and(err)?;
        Ok(match status {
            Some(status) => status.await,
            None => None,
        })
    };
    tokio::select! {
        done = receive => done,
        () = send => Ok(None),
        () = resize => Ok(None),
    }
}

async fn pass_input(mut to: impl tokio::io::AsyncWrite + Unpin) {
    let mut from = tokio::io::stdin();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match from.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                if to.write_all(&chunk[..count]).await.is_err() || to.flush().await.is_err() {
                    break;
                }
            }
        }
    }
    // A command that has ended does not want the end of its input.
    drop(to.shutdown().await);
}

async fn pass_output(mut from: impl tokio::io::AsyncRead + Unpin, to: impl Fn(&[u8]) -> Result) -> Result {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match from.read(&mut chunk).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(count) => to(&chunk[..count])?,
        }
    }
}

fn print_errors(bytes: &[u8]) -> Result {
    use std::io::Write;
    std::io::stderr().lock().write_all(bytes).map_err(|_| Failure::OutputClosed)
}

/// The command's own exit code, or why there is none.
fn ended(status: Option<Status>) -> Result {
    let Some(status) = status else { return refuse("the connection ended before the command did") };
    if status.status.as_deref() == Some("Success") {
        return Ok(());
    }
    let causes = status.details.iter().flat_map(|d| d.causes.iter().flatten());
    let exit = causes.filter(|c| c.reason.as_deref() == Some("ExitCode"));
    let code = exit.filter_map(|c| c.message.as_deref()).find_map(|text| text.parse::<i32>().ok());
    match code {
        Some(code) => Err(Failure::Command { code: u8::try_from(code & 0xff).unwrap_or(1) }),
        None => refuse(status.message.unwrap_or_default()),
    }
}
