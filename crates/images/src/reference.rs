//! Names of images, made complete as Docker does: `busybox` is `docker.io/library/busybox:latest`.

use oci_client::Reference;

use crate::{Error, Result};

pub(crate) fn parse(reference: &str) -> Result<Reference> {
    Reference::try_from(reference).map_err(|_| Error::BadReference { reference: reference.to_owned() })
}

/// The complete name: registry, repository, and tag or digest.
pub fn normalize(reference: &str) -> Result<String> {
    parse(reference).map(|parsed| parsed.whole())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::normalize;

    #[test]
    fn names_are_completed_as_docker_does() {
        for (given, complete) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1.36", "docker.io/library/busybox:1.36"),
            ("grafana/loki", "docker.io/grafana/loki:latest"),
            ("docker.io/nginx", "docker.io/library/nginx:latest"),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
            ("127.0.0.1:5000/x:1", "127.0.0.1:5000/x:1"),
        ] {
            assert_eq!(normalize(given).unwrap(), complete);
        }
        let digest = format!("a@sha256:{}", "0".repeat(64));
        assert_eq!(normalize(&digest).unwrap(), format!("docker.io/library/{digest}"));
        assert!(normalize("UPPER").is_err());
        assert!(normalize("").is_err());
    }
}
