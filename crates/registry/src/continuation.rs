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

    /// Reads a token, or says in upstream's words what is wrong with it.
    pub(crate) fn decode(token: &str) -> Result<Self, String> {
        const INVALID: &str = "continue key is not valid";
        let bytes = unpack(token).map_err(|at| format!("{INVALID}: illegal base64 data at input byte {at}"))?;
        let tree = schema::decode_any(&bytes).map_err(|error| format!("{INVALID}: {error}"))?.value;
        match tree["v"].as_str().unwrap_or_default() {
            VERSION => {}
            other => return Err(format!("{INVALID}: server does not recognize this encoded version {other}")),
        }
        if tree["rv"] == 0 {
            return Err(format!("{INVALID}: incorrect encoded start resourceVersion (version {VERSION})"));
        }
        let token: Self = serde_json::from_value(tree).map_err(|error| format!("{INVALID}: {error}"))?;
        if token.after.is_empty() {
            return Err(format!("{INVALID}: encoded start key empty (version {VERSION})"));
        }
        let climbs = token.after.split('/').any(|part| matches!(part, "." | ".."));
        if climbs { Err(format!("{INVALID}: {}", token.after)) } else { Ok(token) }
    }
}

/// Base64 for URLs, without padding; or the place of what does not belong there.
fn unpack(token: &str) -> Result<Vec<u8>, usize> {
    let mut bytes = Vec::with_capacity(token.len() * 3 / 4);
    for (index, chunk) in token.as_bytes().chunks(4).enumerate() {
        let mut bits = 0u32;
        for (place, letter) in chunk.iter().enumerate() {
            let value = ALPHABET.iter().position(|known| known == letter).ok_or(index * 4 + place)?;
            bits = bits << 6 | u32::try_from(value).unwrap_or_default();
        }
        if chunk.len() == 1 {
            return Err(index * 4);
        }
        bits <<= 6 * (4 - chunk.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    proptest::proptest! {
        #[test]
        fn round_trips(revision in proptest::option::of(1..u64::MAX / 2), after in "[a-z/-]{1,40}") {
            let token = Continuation::new(revision, &after);
            assert_eq!(Continuation::decode(&token.encode()), Ok(token));
        }

        #[test]
        fn never_panics(text in ".{0,40}") {
            if let Ok(token) = Continuation::decode(&text) {
                assert!(!token.after.is_empty());
            }
        }
    }

    #[test]
    fn wrong_tokens_are_told_why() {
        let wrong = |text: &str| Continuation::decode(text).unwrap_err();
        assert_eq!(wrong("ab=d"), "continue key is not valid: illegal base64 data at input byte 2");
        assert_eq!(wrong("abc"), "continue key is not valid: invalid character 'i' looking for beginning of value");
        let with = |token: &Continuation| wrong(&token.encode());
        assert_eq!(
            with(&Continuation::new(Some(0), "a")),
            "continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)"
        );
        assert_eq!(
            with(&Continuation::new(Some(1), "")),
            "continue key is not valid: encoded start key empty (version meta.k8s.io/v1)"
        );
        assert_eq!(with(&Continuation::new(Some(1), "../x")), "continue key is not valid: ../x");
    }
}
