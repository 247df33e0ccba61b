//! The one table of built-in kinds. A kind that is not here does not exist.

use crate::{
    Visitor, apps, authentication, authorization, certificates, coordination, core, discovery, events, rbac, scheduling,
};

/// Shows every built-in kind to the visitor, by group and name.
pub fn visit(visitor: &mut impl Visitor) {
    visitor.visit::<core::Binding>();
    visitor.visit::<core::ConfigMap>();
    visitor.visit::<core::Endpoints>();
    visitor.visit::<core::Event>();
    visitor.visit::<core::Namespace>();
    visitor.visit::<core::Node>();
    visitor.visit::<core::Pod>();
    visitor.visit::<core::PodTemplate>();
    visitor.visit::<core::Secret>();
    visitor.visit::<core::Service>();
    visitor.visit::<core::ServiceAccount>();

    visitor.visit::<apps::ControllerRevision>();
    visitor.visit::<apps::Deployment>();
    visitor.visit::<apps::ReplicaSet>();

    visitor.visit::<authentication::SelfSubjectReview>();
    visitor.visit::<authentication::TokenReview>();

    visitor.visit::<authorization::LocalSubjectAccessReview>();
    visitor.visit::<authorization::SelfSubjectAccessReview>();
    visitor.visit::<authorization::SelfSubjectRulesReview>();
    visitor.visit::<authorization::SubjectAccessReview>();

    visitor.visit::<certificates::CertificateSigningRequest>();

    visitor.visit::<coordination::Lease>();

    visitor.visit::<discovery::EndpointSlice>();

    visitor.visit::<events::Event>();

    visitor.visit::<rbac::ClusterRole>();
    visitor.visit::<rbac::ClusterRoleBinding>();
    visitor.visit::<rbac::Role>();
    visitor.visit::<rbac::RoleBinding>();

    visitor.visit::<scheduling::PriorityClass>();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::collections::HashSet;

    use apimachinery::Object;

    use super::*;
    use crate::Kind;

    #[derive(Default)]
    struct Check {
        seen: HashSet<(String, String)>,
    }

    impl Visitor for Check {
        fn visit<K: Kind>(&mut self) {
            let facts = K::FACTS;
            assert!(self.seen.insert((facts.api_version(), facts.plural.to_owned())), "{} twice", facts.kind);
            assert_eq!(facts.singular, facts.kind.to_lowercase());
            assert!(facts.definition.ends_with(&format!(".{}.{}", facts.version, facts.kind)), "{}", facts.definition);
            assert_eq!(facts.verbs == crate::Facts::CREATE_ONLY, facts.storage.is_empty(), "{}", facts.kind);
            assert!(schema::builtin().definition(facts.definition).is_some(), "{}", facts.definition);
            assert!(facts.columns.iter().all(|column| !column.description.is_empty()));

            let empty = Object::default();
            assert_eq!(K::cells(&empty, 0).len(), facts.columns.len(), "{}", facts.kind);
            for field in facts.selectable {
                assert!(K::field(&empty, field).is_some(), "{} {field}", facts.kind);
            }
            assert_eq!(K::field(&empty, "no.such"), None);
            defaults_are_idempotent::<K>();
        }
    }

    fn defaults_are_idempotent<K: Kind>() {
        let mut object: K::Object = serde_json::from_str("{}").unwrap();
        K::default(&mut object);
        let once = serde_json::to_value(&object).unwrap();
        K::default(&mut object);
        assert_eq!(once, serde_json::to_value(&object).unwrap(), "{}", K::FACTS.kind);
    }

    #[test]
    fn facts_are_consistent() {
        let mut check = Check::default();
        visit(&mut check);
        assert_eq!(check.seen.len(), 29);
    }
}
