//! Delays that double, with jitter, up to a bound.

use std::time::Duration;

/// Consecutive failures and the delay each earns. Jitter keeps many clients from coming back at once.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    limit: Duration,
    failures: u32,
}

impl Backoff {
    pub fn new(first: Duration, limit: Duration) -> Self {
        Self { first, limit, failures: 0 }
    }

    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The delay before the next try: between half and the whole of `first * 2^failures`, capped.
    pub fn next_delay(&mut self) -> Duration {
        let delay = exponential(self.first, self.limit, self.failures);
        self.failures = self.failures.saturating_add(1);
        jittered(delay)
    }
}

pub(crate) fn exponential(first: Duration, limit: Duration, failures: u32) -> Duration {
    // Beyond 2^30 every sensible first delay is past every sensible limit.
    first.checked_mul(1 << failures.min(30)).map_or(limit, |delay| delay.min(limit))
}

pub(crate) fn jittered(delay: Duration) -> Duration {
    delay.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_the_limit() {
        let (first, limit) = (Duration::from_millis(5), Duration::from_secs(1));
        let delays: Vec<_> = [0, 1, 2, 10, u32::MAX].map(|n| exponential(first, limit, n).as_millis()).to_vec();
        assert_eq!(delays, [5, 10, 20, 1000, 1000]);
        for _ in 0..100 {
            let delay = jittered(limit);
            assert!(delay >= limit / 2 && delay <= limit);
        }
    }
}
