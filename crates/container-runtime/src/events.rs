//! What happens to containers, told to whoever listens.

use cri::{ContainerEvents, CriError, v1};
use futures::StreamExt as _;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// Events a listener may be behind; then it is told and must list.
const BUFFER: usize = 1024;

#[derive(Debug)]
pub(crate) struct Events {
    sender: broadcast::Sender<v1::ContainerEventResponse>,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self { sender: broadcast::channel(BUFFER).0 }
    }

    pub(crate) fn tell(&self, event: v1::ContainerEventResponse) {
        // Nobody listening is fine.
        drop(self.sender.send(event));
    }

    /// A stream that ends with the runtime.
    pub(crate) fn listen(&self, end: CancellationToken) -> ContainerEvents {
        let receiver = self.sender.subscribe();
        let events = futures::stream::unfold(receiver, |mut receiver| async move {
            let item = match receiver.recv().await {
                Ok(event) => Ok(event),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    Err(CriError::resource_exhausted(format!("missed {missed} container events; list again")))
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            };
            Some((item, receiver))
        });
        events.take_until(async move { end.cancelled().await }).boxed()
    }
}
