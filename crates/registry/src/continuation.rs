//! Continue tokens: where a paged list goes on, and at which revision.

use serde::{Deserialize, Serialize};

/// What a token says. Opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Continuation {
    v: String,
    /// The revision all pages show; absent in a token that goes on at the newest state.
    #[serde(rename = "rv", default, skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<u64>,
    /// The key, below the collection's prefix, after which to go on.
    #[serde(rename = "start")]
    pub(crate) after: String,
}

const VERSION: &str = "meta.k8s.io/v1";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Continuation {
    pub(crate) fn new(revision: Option<u64>, after: &str) -> Self {
        Self { v: VERSION.to_owned(), revision, after: after.to_owned() }
    }

    pub(crate) fn encode(&self) -> String {
        let json = serde_json::to_vec(self).expect("a token always serializes");
        let mut text = String::with_capacity(json.len() * 4 / 3 + 3);
        for chunk in json.chunks(3) {
            let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
            for place in 0..=chunk.len() {
                text.push(char::from(ALPHABET[(bits >> (18 - 6 * place) & 63) as usize]));
            }
        }
        text
    }

    pub(crate) fn decode(token: &str) -> Option<Self> {
        let mut bytes = Vec::with_capacity(token.len() * 3 / 4);
        for chunk in token.trim_end_matches('=').as_bytes().chunks(4) {
            let mut bits = 0u32;
            for letter in chunk {
                let value = ALPHABET.iter().position(|known| known == letter)?;
                bits = bits << 6 | u32::try_from(value).ok()?;
            }
            bits <<= 6 * (4 - chunk.len());
            bytes.extend_from_slice(&bits.to_be_bytes()[1..chunk.len().max(1)]);
        }
        let token: Self = serde_json::from_slice(&bytes).ok()?;
        (token.v == VERSION && !token.after.contains("..")).then_some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn round_trips(revision: Option<u64>, after in "[a-z/-]{0,40}") {
            let token = Continuation::new(revision, &after);
            assert_eq!(Continuation::decode(&token.encode()), Some(token));
        }

        #[test]
        fn never_panics(text in ".{0,40}") {
            Continuation::decode(&text);
        }
    }
}
