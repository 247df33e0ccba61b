//! Counts what controllers write, and kills them at a write.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use apiserver::ApiServer;
use client::Body;
use http::{Method, Request, Response};
use tokio_util::sync::CancellationToken;
use tower::Service;

/// When the controllers die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    Never,
    /// In place of this write.
    Before(usize),
    /// When this write is done, and before they hear of it.
    After(usize),
}

/// Writes seen so far, those of events left out: they tell and decide nothing.
pub(crate) struct Meter {
    death: Death,
    writes: AtomicUsize,
    told: Mutex<Vec<String>>,
    pub(crate) dead: CancellationToken,
}

impl Meter {
    pub(crate) fn new(death: Death) -> Arc<Self> {
        let (writes, told) = (AtomicUsize::new(0), Mutex::default());
        Arc::new(Self { death, writes, told, dead: CancellationToken::new() })
    }

    pub(crate) fn writes(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

#[derive(Clone)]
pub(crate) struct Metered {
    pub(crate) server: ApiServer,
    pub(crate) meter: Arc<Meter>,
}

impl Service<Request<Body>> for Metered {
    type Response = Response<apiserver::Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { server, meter } = self.clone();
        let event = request.uri().path().contains("/events");
        let write = *request.method() != Method::GET && !event;
        Box::pin(async move {
            if write && !meter.dead.is_cancelled() {
                meter.told.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
                let number = meter.writes.fetch_add(1, Ordering::SeqCst);
                if meter.death == Death::Before(number) {
                    meter.dead.cancel();
                }
                if meter.death == Death::After(number) {
                    let answer = server.serve(request).await;
                    drop(answer);
                    meter.dead.cancel();
                    return std::future::pending().await;
                }
            }
            if meter.dead.is_cancelled() {
                return std::future::pending().await;
            }
            Ok(server.serve(request).await)
        })
    }
}
