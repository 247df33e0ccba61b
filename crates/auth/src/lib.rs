//! Who makes a request (client certificates, service account tokens, impersonation) and whether it may (masters,
//! nodes, RBAC). Decisions are made from memory: nothing here waits for a network.

mod attributes;
mod bootstrap_token;
mod certificate;
mod chain;
mod escalation;
mod impersonation;
mod node;
pub mod rbac;
mod reader;
mod rule;
mod token;

pub use attributes::{Attributes, Authorizer, Decision};
pub use bootstrap_token::{BootstrapRefused, BootstrapTokens, bootstrap_token};
pub use certificate::user_of_certificate;
pub use chain::{Chain, Held, Masters};
pub use escalation::{Escalation, Write, aggregate};
pub use impersonation::{Impersonation, WithoutUser, service_account};
pub use node::{Graph, NodeAuthorizer, Referent, ReferentKind, node_of};
pub use rbac::{Rbac, RbacKind};
pub use reader::Reader;
pub use rule::{Rule, compact_rules, uncovered};
pub use token::{Authenticated, ServiceAccountTokens, TokenRefused};
