//! Kinds of the group `authorization.k8s.io`.

mod attributes;
mod local_subject_access_review;
mod self_subject_access_review;
mod self_subject_rules_review;
mod subject_access_review;

pub use local_subject_access_review::LocalSubjectAccessReview;
pub use self_subject_access_review::SelfSubjectAccessReview;
pub use self_subject_rules_review::SelfSubjectRulesReview;
pub use subject_access_review::SubjectAccessReview;
