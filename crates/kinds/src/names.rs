//! The rules for object names that kinds refer to. Each judges a whole name, or the prefix of a generated one.

use apimachinery::validation;

/// A trailing dash is no fault in a prefix: a random suffix follows it.
fn masked(name: &str, prefix: bool) -> String {
    match name.strip_suffix('-') {
        Some(rest) if prefix && !rest.is_empty() => {
            let end = rest.char_indices().next_back().map_or(0, |(at, _)| at);
            format!("{}a", &rest[..end])
        }
        _ => name.to_owned(),
    }
}

/// Names that become DNS names: most kinds.
pub(crate) fn subdomain(name: &str, prefix: bool) -> Vec<String> {
    validation::dns1123_subdomain(&masked(name, prefix))
}

/// Names that become a part of DNS names: namespaces.
pub(crate) fn label(name: &str, prefix: bool) -> Vec<String> {
    validation::dns1123_label(&masked(name, prefix))
}

/// Names of services: they become DNS names of their own.
pub(crate) fn service(name: &str, prefix: bool) -> Vec<String> {
    validation::dns1035_label(&masked(name, prefix))
}

/// Names that may be one segment of a URL path: roles and bindings.
pub(crate) fn path_segment(name: &str, prefix: bool) -> Vec<String> {
    if prefix {
        // `.` and `..` are fine as long as something follows.
        return validation::path_segment_name(&format!("{name}x"));
    }
    validation::path_segment_name(name)
}

/// Reviews and subresource bodies: the name is not looked at.
pub(crate) fn any(_name: &str, _prefix: bool) -> Vec<String> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_may_end_in_a_dash() {
        assert!(subdomain("a-", true).is_empty());
        assert!(!subdomain("a-", false).is_empty());
        assert!(!label("-", true).is_empty());
        assert!(path_segment(".", true).is_empty());
        assert!(!path_segment(".", false).is_empty());
    }
}
