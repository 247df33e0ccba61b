//! Identifiers of sandboxes and containers.

use std::fmt::Write as _;

/// 32 random bytes in hexadecimal, as Docker and containerd have them.
pub(crate) fn new_id() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

/// The whole id for a unique beginning of it.
pub(crate) fn complete<'a>(ids: impl Iterator<Item = &'a String>, given: &str) -> Option<&'a String> {
    if given.is_empty() {
        return None;
    }
    let mut found = ids.filter(|id| id.starts_with(given));
    let first = found.next()?;
    (first == given || found.next().is_none()).then_some(first)
}
