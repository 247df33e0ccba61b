//! Whether anything is asked on a connection. HTTP/1.1 connections end by the limit of their headers; those of HTTP/2
//! would stay as long as the client likes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Response;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::respond::Body;

/// A connection on which nothing was asked for so long ends, as upstream's do.
const IDLE: Duration = Duration::from_secs(90);

/// The requests of one connection.
#[derive(Clone)]
pub(super) struct Requests(Arc<State>);

struct State {
    open: AtomicUsize,
    /// When the last one ended.
    quiet_since: Mutex<Instant>,
}

/// A request that has not been answered to the end.
pub(super) struct Open(Arc<State>);

impl Requests {
    pub(super) fn new() -> Self {
        Self(Arc::new(State { open: AtomicUsize::new(0), quiet_since: Mutex::new(Instant::now()) }))
    }

    pub(super) fn begin(&self) -> Open {
        self.0.open.fetch_add(1, Ordering::AcqRel);
        Open(self.0.clone())
    }

    /// Returns when nothing was asked for too long.
    pub(super) async fn idle(&self) {
        loop {
            let end = *self.0.quiet_since.lock() + IDLE;
            let is_quiet = self.0.open.load(Ordering::Acquire) == 0;
            if is_quiet && end <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(if is_quiet { end } else { Instant::now() + IDLE }).await;
        }
    }
}

impl Open {
    /// It is answered to the end when the body is dropped.
    pub(super) fn until_sent(self, response: Response<Body>) -> Response<Body> {
        response.map(|body| {
            body.map_frame(move |frame| {
                let _open = &self;
                frame
            })
            .boxed_unsync()
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        *self.0.quiet_since.lock() = Instant::now();
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_a_while_after_its_last_answer() {
        let requests = Requests::new();
        let open = requests.begin();
        assert!(tokio::time::timeout(IDLE * 10, requests.idle()).await.is_err(), "a watch is no idleness");
        drop(open);
        let begun = Instant::now();
        requests.idle().await;
        assert!(begun.elapsed() >= IDLE);
    }
}
