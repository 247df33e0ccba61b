//! The pod template hash that names a deployment's replica sets.

use api::core::v1::PodTemplateSpec;

/// Letters and digits that form no words by accident; upstream's choice.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const FNV_OFFSET: u32 = 2_166_136_261;
const FNV_PRIME: u32 = 16_777_619;

/// Stable across restarts and versions as long as the template is: it hashes the template as sorted JSON. Unlike
/// Kubernetes: upstream hashes a dump of Go structs. Nothing depends on which hash it is, because existing sets are
/// found by comparing templates.
pub(crate) fn template_hash(template: &PodTemplateSpec, collision_count: Option<i32>) -> String {
    let canonical = serde_json::to_value(template).map(|value| value.to_string()).unwrap_or_default();
    let mut hash = fnv(FNV_OFFSET, canonical.as_bytes());
    if let Some(count) = collision_count {
        hash = fnv(hash, &count.to_le_bytes());
    }
    hash.to_string().bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}

fn fnv(start: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(FNV_PRIME))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn hash(image: &str, collisions: Option<i32>) -> String {
        let template = serde_json::from_value(serde_json::json!({
            "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]},
        }));
        template_hash(&template.unwrap(), collisions)
    }

    #[test]
    fn it_is_the_same_always_and_other_for_other_templates() {
        assert_eq!(hash("nginx", None), "5776f98846", "names of live sets would change");
        assert_ne!(hash("nginx", None), hash("nginx:1", None));
        assert_ne!(hash("nginx", None), hash("nginx", Some(1)));
        assert!(hash("x", None).len() <= 10);
    }
}
