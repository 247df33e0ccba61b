//! The store in a process of its own, over its socket. Every call has a connection for itself for its time.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
};

use super::{Backend, Following, Listing, Revision, Said, Transaction, Unread, Version, Written};
use crate::host::{Question, Reply};

/// A client of [`host`](crate::host).
pub struct Child {
    socket: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

struct Connection(BufReader<UnixStream>);

impl Child {
    pub fn new(socket: &Path) -> Child {
        Child { socket: socket.to_owned(), idle: Mutex::default() }
    }

    /// `None` when the process is gone, before or after it did what was asked.
    async fn ask(&self, question: &Question) -> Option<Reply> {
        let idle = self.idle.lock().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::open(&self.socket).await?,
        };
        connection.send(question).await?;
        let reply = connection.receive().await?;
        self.idle.lock().push(connection);
        Some(reply)
    }
}

impl Connection {
    async fn open(socket: &Path) -> Option<Connection> {
        Some(Connection(BufReader::new(UnixStream::connect(socket).await.ok()?)))
    }

    async fn send(&mut self, question: &Question) -> Option<()> {
        let mut line = serde_json::to_vec(question).expect("a question is JSON");
        line.push(b'\n');
        self.0.write_all(&line).await.ok()
    }

    async fn receive(&mut self) -> Option<Reply> {
        let mut line = String::new();
        self.0.read_line(&mut line).await.ok()?;
        // A line that was cut off is no answer.
        serde_json::from_str(&line).ok()
    }
}

#[async_trait]
impl Backend for Child {
    async fn write(&self, transaction: Transaction) -> Written {
        match self.ask(&Question::Write(transaction)).await {
            Some(Reply::Wrote(written)) => written,
            _ => Written::Unknown,
        }
    }

    async fn get(&self, key: &str) -> Result<(Option<Version>, Option<Revision>), Unread> {
        match self.ask(&Question::Get(key.to_owned())).await {
            Some(Reply::Got(version, revision)) => Ok((version, revision)),
            Some(Reply::Unread(unread)) => Err(unread),
            _ => Err(Unread::Gone),
        }
    }

    async fn list(&self, prefix: &str, at: Option<Revision>) -> Result<Listing, Unread> {
        match self.ask(&Question::List(prefix.to_owned(), at)).await {
            Some(Reply::Listed(listing)) => Ok(listing),
            Some(Reply::Unread(unread)) => Err(unread),
            _ => Err(Unread::Gone),
        }
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Following>, Unread> {
        let open = async {
            let mut connection = Connection::open(&self.socket).await?;
            connection.send(&Question::Watch(prefix.to_owned(), after)).await?;
            let reply = connection.receive().await?;
            Some((connection, reply))
        };
        match open.await {
            Some((connection, Reply::Done)) => Ok(Box::new(ChildWatch { connection, line: Vec::new() })),
            Some((_, Reply::Unread(unread))) => Err(unread),
            _ => Err(Unread::Gone),
        }
    }

    async fn compact(&self, revision: Revision) {
        self.ask(&Question::Compact(revision)).await;
    }
}

struct ChildWatch {
    connection: Connection,
    /// The line read so far; a call that was cancelled loses nothing.
    line: Vec<u8>,
}

#[async_trait]
impl Following for ChildWatch {
    async fn next(&mut self) -> Option<Said> {
        self.connection.0.read_until(b'\n', &mut self.line).await.ok()?;
        let line = std::mem::take(&mut self.line);
        match serde_json::from_slice(&line).ok()? {
            Reply::Said(said) => Some(said),
            _ => None,
        }
    }

    async fn progress(&mut self) -> Option<Revision> {
        None
    }
}
