//! Names of images, made complete as Docker does: `busybox` is `docker.io/library/busybox:latest`.

use apimachinery::ImageReference;
use oci_client::Reference;

use crate::{Error, Result};

pub(crate) fn parse(reference: &str) -> Result<Reference> {
    let parsed =
        ImageReference::parse(reference).map_err(|_| Error::BadReference { reference: reference.to_owned() })?;
    let (registry, repository) = (parsed.registry().to_owned(), parsed.repository().into_owned());
    let tag = parsed.tag().unwrap_or_default().to_owned();
    Ok(match parsed.digest() {
        None => Reference::with_tag(registry, repository, tag),
        Some(digest) if tag.is_empty() => Reference::with_digest(registry, repository, digest.to_owned()),
        Some(digest) => Reference::with_tag_and_digest(registry, repository, tag, digest.to_owned()),
    })
}

/// The complete name: registry, repository, and tag or digest.
pub fn normalize(reference: &str) -> Result<String> {
    parse(reference).map(|parsed| parsed.whole())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn names_are_completed() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (given, complete) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("localhost:5000/a/b:1", "localhost:5000/a/b:1"),
            (&format!("a@{digest}"), &format!("docker.io/library/a@{digest}")),
            (&format!("a:1@{digest}"), &format!("docker.io/library/a:1@{digest}")),
        ] {
            assert_eq!(normalize(given).unwrap(), complete);
        }
        assert!(matches!(normalize("UPPER"), Err(Error::BadReference { reference }) if reference == "UPPER"));
    }
}
