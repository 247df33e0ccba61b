//! Just enough of image references to add the default tag and to know the registry.

#[derive(Debug, thiserror::Error)]
pub(crate) enum ReferenceError {
    #[error("couldn't parse image name \"{0}\": invalid reference format")]
    Format(String),
    #[error(
        "couldn't parse image name \"{image}\": invalid reference format: repository name ({name}) must be lowercase"
    )]
    Uppercase { image: String, name: String },
}

/// The reference with `:latest` where it has neither tag nor digest.
pub(crate) fn with_default_tag(image: &str) -> Result<String, ReferenceError> {
    let bad = || ReferenceError::Format(image.to_owned());
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (image, None),
    };
    let (name, tag) = match rest.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
        Some((name, tag)) => (name, Some(tag)),
        None => (rest, None),
    };
    if digest.is_some_and(|d| !is_digest(d)) || tag.is_some_and(|t| !is_tag(t)) {
        return Err(bad());
    }
    let repository = match name.split_once('/').filter(|(first, _)| is_registry(first)) {
        Some((_, repository)) => repository,
        None => name,
    };
    if repository.split('/').any(|part| !is_component(part)) {
        if repository.split('/').all(|part| is_component(&part.to_lowercase())) {
            return Err(ReferenceError::Uppercase { image: image.to_owned(), name: repository.to_owned() });
        }
        return Err(bad());
    }
    Ok(if tag.is_none() && digest.is_none() { format!("{image}:latest") } else { image.to_owned() })
}

/// The host (and port) the image comes from.
pub(crate) fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((first, _)) if is_registry(first) => first,
        _ => "docker.io",
    }
}

fn is_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.chars().any(|c| c.is_ascii_uppercase())
}

fn is_component(part: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    edge(part.chars().next()) && edge(part.chars().last()) && part.chars().all(inner)
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128 && tag.chars().next().is_some_and(word) && tag.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty() && hex.len() >= 32 && hex.chars().all(|c| c.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_registries() {
        let digest = format!("x@sha256:{}", "a".repeat(64));
        for (image, tagged, from) in [
            ("nginx", Some("nginx:latest"), "docker.io"),
            ("a/b:1", Some("a/b:1"), "docker.io"),
            ("localhost:5000/x", Some("localhost:5000/x:latest"), "localhost:5000"),
            ("ghcr.io/a/b", Some("ghcr.io/a/b:latest"), "ghcr.io"),
            (digest.as_str(), Some(digest.as_str()), "docker.io"),
            ("Nginx", None, "docker.io"),
            ("x:", None, "docker.io"),
            ("", None, "docker.io"),
            ("a//b", None, "docker.io"),
            ("x@sha256:12", None, "docker.io"),
        ] {
            assert_eq!(with_default_tag(image).ok().as_deref(), tagged, "{image}");
            assert_eq!(registry(image), from, "{image}");
        }
    }
}
