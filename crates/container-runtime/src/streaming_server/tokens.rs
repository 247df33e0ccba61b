//! Tokens that open something once, soon.

use std::{collections::VecDeque, time::Duration};

use parking_lot::Mutex;
use rand::{Rng, distr::Alphanumeric};
use tokio::time::Instant;

const LIFETIME: Duration = Duration::from_secs(60);
/// Tokens outstanding; the oldest gives way.
const MAX_OUTSTANDING: usize = 1000;
/// 32 letters and digits: 190 bits.
const LENGTH: usize = 32;

pub(super) struct Tokens<T>(Mutex<VecDeque<Token<T>>>);

struct Token<T> {
    text: String,
    expires: Instant,
    opens: T,
}

impl<T> Default for Tokens<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Tokens<T> {
    pub(super) fn issue(&self, opens: T) -> String {
        let text: String = rand::rng().sample_iter(Alphanumeric).take(LENGTH).map(char::from).collect();
        let now = Instant::now();
        let mut tokens = self.0.lock();
        while tokens.front().is_some_and(|t| t.expires <= now) || tokens.len() >= MAX_OUTSTANDING {
            tokens.pop_front();
        }
        tokens.push_back(Token { text: text.clone(), expires: now + LIFETIME, opens });
        text
    }

    pub(super) fn redeem(&self, text: &str) -> Option<T> {
        let mut tokens = self.0.lock();
        let at = tokens.iter().position(|t| t.text == text)?;
        tokens.remove(at).filter(|t| t.expires > Instant::now()).map(|t| t.opens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_token_opens_once_and_not_for_ever() {
        let tokens = Tokens::default();
        let (first, second) = (tokens.issue(1), tokens.issue(2));
        assert_eq!(tokens.redeem(&first), Some(1));
        assert_eq!(tokens.redeem(&first), None);
        tokio::time::advance(LIFETIME).await;
        assert_eq!(tokens.redeem(&second), None);
        for n in 0..2 * MAX_OUTSTANDING {
            tokens.issue(n);
        }
        assert!(tokens.0.lock().len() <= MAX_OUTSTANDING);
    }
}
