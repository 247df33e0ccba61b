//! Names of images: `registry/repository:tag@digest`, where all but the repository may be left out.

use std::borrow::Cow;

const DEFAULT_REGISTRY: &str = "docker.io";
const LEGACY_DEFAULT_REGISTRY: &str = "index.docker.io";
const DEFAULT_NAMESPACE: &str = "library";
const DEFAULT_TAG: &str = "latest";
const MAX_NAME_BYTES: usize = 255;
const MAX_TAG_BYTES: usize = 128;
const MIN_DIGEST_DIGITS: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageReferenceError {
    #[error("couldn't parse image name {image:?}: invalid reference format")]
    Format { image: String },
    #[error(
        "couldn't parse image name {image:?}: invalid reference format: repository name ({repository}) must be lowercase"
    )]
    Uppercase { image: String, repository: String },
    #[error("couldn't parse image name {image:?}: repository name must not be more than {MAX_NAME_BYTES} characters")]
    TooLong { image: String },
}

/// The parts of an image's name, as they were written.
///
/// A parser of its own: the regular expression that the libraries parse with takes 20 MB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageReference<'a> {
    registry: Option<&'a str>,
    repository: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

impl<'a> ImageReference<'a> {
    pub fn parse(image: &'a str) -> Result<Self, ImageReferenceError> {
        let format = || ImageReferenceError::Format { image: image.to_owned() };
        let (rest, digest) = match image.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (image, None),
        };
        let (name, tag) = match rest.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
            Some((name, tag)) => (name, Some(tag)),
            None => (rest, None),
        };
        if !digest.is_none_or(is_digest) || !tag.is_none_or(is_tag) {
            return Err(format());
        }
        let (registry, repository) = match name.split_once('/').filter(|(first, _)| names_registry(first)) {
            Some((registry, repository)) => (Some(registry), repository),
            None => (None, name),
        };
        if !registry.is_none_or(is_registry) {
            return Err(format());
        }
        if !is_repository(repository) {
            return Err(match is_repository(&repository.to_ascii_lowercase()) {
                true => ImageReferenceError::Uppercase { image: image.to_owned(), repository: repository.to_owned() },
                false => format(),
            });
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(ImageReferenceError::TooLong { image: image.to_owned() });
        }
        Ok(Self { registry, repository, tag, digest })
    }

    /// The host (and port) the image comes from.
    pub fn registry(&self) -> &'a str {
        match self.registry {
            None | Some(LEGACY_DEFAULT_REGISTRY) => DEFAULT_REGISTRY,
            Some(registry) => registry,
        }
    }

    /// What the registry knows it by.
    pub fn repository(&self) -> Cow<'a, str> {
        if self.registry() == DEFAULT_REGISTRY && !self.repository.contains('/') {
            return format!("{DEFAULT_NAMESPACE}/{}", self.repository).into();
        }
        self.repository.into()
    }

    /// What was written, or `latest` where there is no digest either.
    pub fn tag(&self) -> Option<&'a str> {
        self.tag.or(self.digest.is_none().then_some(DEFAULT_TAG))
    }

    pub fn digest(&self) -> Option<&'a str> {
        self.digest
    }

    /// Whether neither tag nor digest was written.
    pub fn is_bare(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }
}

/// Whether the first component of a name is a registry: what has a dot, a port or an upper-case letter is none of a
/// repository's.
fn names_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.chars().any(|c| c.is_ascii_uppercase())
}

fn is_registry(registry: &str) -> bool {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (registry, None),
    };
    let alphanumeric = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let is_label = |label: &str| {
        alphanumeric(label.chars().next())
            && alphanumeric(label.chars().next_back())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    host.split('.').all(is_label) && port.is_none_or(|p| !p.is_empty() && p.chars().all(|c| c.is_ascii_digit()))
}

fn is_repository(repository: &str) -> bool {
    repository.split('/').all(is_component)
}

/// Words of lower-case letters and digits, joined by one dot, one or two underscores, or dashes.
fn is_component(component: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut separators = component.split(is_word).filter(|between| !between.is_empty());
    component.starts_with(is_word)
        && component.ends_with(is_word)
        && separators.all(|between| matches!(between, "." | "_" | "__") || between.chars().all(|c| c == '-'))
}

fn is_tag(tag: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= MAX_TAG_BYTES && tag.starts_with(is_word) && tag.chars().all(|c| is_word(c) || matches!(c, '.' | '-'))
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, digits)) = digest.split_once(':') else { return false };
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic()) && part.chars().all(|c| c.is_ascii_alphanumeric())
    };
    algorithm.split(['-', '_', '+', '.']).all(is_part)
        && digits.len() >= MIN_DIGEST_DIGITS
        && digits.chars().all(|c| c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn whole(image: &str) -> Result<String, ImageReferenceError> {
        let parsed = ImageReference::parse(image)?;
        let mut whole = format!("{}/{}", parsed.registry(), parsed.repository());
        whole += &parsed.tag().map(|tag| format!(":{tag}")).unwrap_or_default();
        whole += &parsed.digest().map(|digest| format!("@{digest}")).unwrap_or_default();
        Ok(whole)
    }

    #[test]
    fn names_are_completed_as_docker_does() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (given, complete) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1.36", "docker.io/library/busybox:1.36"),
            ("grafana/loki", "docker.io/grafana/loki:latest"),
            ("docker.io/nginx", "docker.io/library/nginx:latest"),
            ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
            ("localhost/hello:1", "localhost/hello:1"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
            ("127.0.0.1:5000/x:1", "127.0.0.1:5000/x:1"),
            ("HOST/a", "HOST/a:latest"),
            ("a.b/c__d/e.f/g--h/i_j:T_1.2-3", "a.b/c__d/e.f/g--h/i_j:T_1.2-3"),
            (&format!("a@{digest}"), &format!("docker.io/library/a@{digest}")),
            (&format!("x.io/a:1@{digest}"), &format!("x.io/a:1@{digest}")),
        ] {
            assert_eq!(whole(given).as_deref(), Ok(complete), "{given}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "t".repeat(129);
        for bad in [
            "",
            "/",
            ":1",
            "x:",
            "x:-a",
            "x:a/b:",
            "a//b",
            "a/",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "a._b",
            "é",
            "a b",
            "a:é",
            "x@sha256:12",
            "x@:aaaa",
            "-x.io/a",
            "x.io:/a",
            "x.io:p/a",
            "x..io/a",
            "[::1]:5000/a",
            &format!("x:{long}"),
        ] {
            assert_eq!(whole(bad), Err(ImageReferenceError::Format { image: bad.to_owned() }), "{bad}");
        }
        let name = "n".repeat(256);
        assert_eq!(whole(&name), Err(ImageReferenceError::TooLong { image: name.clone() }));
        assert_eq!(
            whole("Nginx").unwrap_err().to_string(),
            "couldn't parse image name \"Nginx\": invalid reference format: repository name (Nginx) must be lowercase"
        );
    }
}
