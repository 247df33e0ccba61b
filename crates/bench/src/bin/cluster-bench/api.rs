//! A client inside the node's network that sees events as soon as they arrive.

use std::{future::Future, path::Path};

use anyhow::{Context, ensure};
use client::{Body, ByteStream, Client};
use futures::StreamExt;
use serde_json::Value;
use testkit::Node;

/// Runs this inside the node's network, on a thread of its own.
pub(crate) fn inside<T: Send, F: Future<Output = anyhow::Result<T>>>(
    node: &Node,
    act: impl FnOnce() -> F + Send,
) -> anyhow::Result<T> {
    node.inside(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("a runtime")?.block_on(act())
    })
}

pub(crate) async fn connect(kubeconfig: &Path) -> anyhow::Result<Client> {
    Client::from_kubeconfig(kubeconfig).await.context("read the kubeconfig")
}

/// Sends one object, or nothing, and returns the answer.
pub(crate) async fn call(client: &Client, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
    let body = body.map_or_else(Body::empty, |value| Body::from(value.to_string().into_bytes()));
    let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = request.body(body).context("a request")?;
    client.request(request).await.with_context(|| format!("{method} {path}"))
}

/// The events of a watch.
pub(crate) struct Events {
    stream: ByteStream,
    received: Vec<u8>,
}

impl Events {
    /// Everything there is, and then what changes.
    pub(crate) async fn of(client: &Client, collection: &str) -> anyhow::Result<Self> {
        let path = format!("{collection}?watch=true");
        let stream = client.stream(&path, "application/json").await.with_context(|| format!("watch {collection}"))?;
        Ok(Self { stream, received: Vec::new() })
    }

    pub(crate) async fn next(&mut self) -> anyhow::Result<Value> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                let event: Value = serde_json::from_slice(&line).context("an event is JSON")?;
                ensure!(event["type"] != "ERROR", "the watch ended: {event}");
                return Ok(event);
            }
            let bytes = self.stream.next().await.context("the watch ended")?.context("the watch broke")?;
            self.received.extend_from_slice(&bytes);
        }
    }
}
