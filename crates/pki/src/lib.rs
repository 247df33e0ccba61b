//! Certificates, keys and tokens: our own authorities, the certificates of our components and their renewal, and
//! the bound tokens of service accounts.

mod authority;
mod error;
mod folder;
mod pinned;
mod renewal;
mod request;
mod serving;
mod subject;
mod tls;
mod token;

pub use authority::{Authority, Leaf, Pair, Usage};
pub use error::PkiError;
pub use folder::Folder;
pub use pinned::{Pinned, authority_hash};
pub use request::{
    KeyAndRequest, SigningRequest, end_time, is_begun, is_due, is_valid_now, organizations_asked_for, renewal_time,
};
pub use serving::ServingCertificate;
pub use subject::{Subject, subject_of};
pub use tls::{client_config, renewable_client_config, server_config};
pub use token::{Claims, KubernetesClaims, ObjectRef, TokenError, TokenKey};
