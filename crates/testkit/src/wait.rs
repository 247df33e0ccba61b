//! Waiting for something to become true, never for time to pass.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

/// How long anything may take on a loaded machine of two cores before it counts as never happening.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Asks until the answer is `Ok`, and fails with the last answer when that takes too long.
#[track_caller]
pub fn eventually<T, E: Debug>(what: &str, ask: impl FnMut() -> Result<T, E>) -> T {
    within(PATIENCE, what, ask)
}

/// The same with a deadline of its own.
#[track_caller]
pub fn within<T, E: Debug>(patience: Duration, what: &str, mut ask: impl FnMut() -> Result<T, E>) -> T {
    let start = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(seen) if start.elapsed() > patience => panic!("{what}: not within {patience:?}; last seen: {seen:#?}"),
            Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
}
