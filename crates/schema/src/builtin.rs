//! The table of the kinds that are built in, of API v1.37.

use std::sync::LazyLock;

use crate::{table::Table, text};

/// Read on first use.
pub fn builtin() -> &'static Table {
    static TABLE: LazyLock<Table> =
        LazyLock::new(|| text::parse(include_str!("builtin/v1_37.txt")).expect("the generated text is well formed"));
    &TABLE
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::shape::{ListType, MapType, Shape};

    #[test]
    fn knows_how_lists_and_maps_merge() {
        let pod = builtin().by_gvk("", "v1", "Pod").unwrap();
        assert_eq!(pod.definition().unwrap().name(), "io.k8s.api.core.v1.Pod");
        let spec = pod.field("spec").unwrap();
        let containers = spec.field("containers").unwrap();
        assert_eq!(containers.list_type(), ListType::Map);
        assert_eq!(containers.list_map_keys().collect::<Vec<_>>(), ["name"]);
        assert_eq!(containers.patch_merge_key(), Some("name"));
        assert!(containers.patch_strategy().merge);
        let ports = containers.items().unwrap().field("ports").unwrap();
        assert_eq!(ports.list_map_keys().collect::<Vec<_>>(), ["containerPort", "protocol"]);
        assert_eq!(ports.patch_merge_key(), Some("containerPort"));
        assert_eq!(ports.items().unwrap().key_default("protocol"), Some("TCP".into()));
        assert_eq!(spec.field("nodeSelector").unwrap().map_type(), MapType::Atomic);
        assert!(spec.field("volumes").unwrap().patch_strategy().retain_keys);
        let deployment = builtin().by_gvk("apps", "v1", "Deployment").unwrap().field("spec").unwrap();
        assert_eq!(deployment.field("selector").unwrap().map_type(), MapType::Atomic);
        assert!(deployment.field("strategy").unwrap().patch_strategy().retain_keys);
        assert!(deployment.is_required("selector"));
    }

    #[test]
    fn knows_scalars() {
        let table = builtin();
        let field = |definition: &str, path: &[&str]| {
            let node = table.definition(definition).unwrap();
            path.iter().fold(node, |node, name| node.field(name).unwrap())
        };
        let meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
        assert_eq!(field(meta, &["creationTimestamp"]).shape(), Shape::Time);
        assert_eq!(field(meta, &["generation"]).shape(), Shape::Integer64);
        let lease = "io.k8s.api.coordination.v1.Lease";
        assert_eq!(field(lease, &["spec", "renewTime"]).shape(), Shape::MicroTime);
        assert_eq!(field(lease, &["spec", "leaseTransitions"]).shape(), Shape::Integer32);
        let limits = field("io.k8s.api.core.v1.Container", &["resources", "limits"]);
        assert_eq!(limits.values().unwrap().shape(), Shape::Quantity);
        let port = field("io.k8s.api.core.v1.ServicePort", &["targetPort"]);
        assert_eq!(port.shape(), Shape::IntOrString);
        let data = field("io.k8s.api.core.v1.Secret", &["data"]);
        assert_eq!(data.values().unwrap().shape(), Shape::Bytes);
        let raw = field("io.k8s.api.apps.v1.ControllerRevision", &["data"]);
        assert_eq!(raw.shape(), Shape::Any);
    }

    #[test]
    fn holds_every_definition_once() {
        let names: Vec<_> = builtin().definitions().map(|d| d.name()).collect();
        assert!(names.is_sorted_by(|a, b| a < b));
        assert!(names.len() > 800, "{}", names.len());
        for definition in builtin().definitions() {
            assert_eq!(definition.node().definition().unwrap().name(), definition.name());
            for (group, version, kind) in definition.kinds() {
                assert_eq!(builtin().by_gvk(group, version, kind), Some(definition.node()));
            }
        }
    }

    #[test]
    fn delete_options_are_found_in_every_group() {
        let options = builtin().by_gvk("apps", "v1", "DeleteOptions").unwrap();
        assert_eq!(options.field("gracePeriodSeconds").unwrap().shape(), Shape::Integer64);
    }
}
