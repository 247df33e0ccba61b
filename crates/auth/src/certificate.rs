//! Users by client certificate. TLS has verified the chain; here it is only read.

use apimachinery::UserInfo;
use sha2::{Digest, Sha256};

/// Which credential a user came with, in the user's extra.
pub(crate) const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// The user a verified leaf certificate names: its common name, its organizations as groups. `None` without a
/// common name.
pub fn user_of_certificate(der: &[u8]) -> Option<UserInfo> {
    let subject = pki::subject_of(der).filter(|subject| !subject.common_name.is_empty())?;
    let groups: Vec<&str> = subject.organizations.iter().map(String::as_str).collect();
    let mut user = UserInfo::new(subject.common_name, &groups);
    let digest: String = Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect();
    user.extra.insert(CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={digest}")]);
    Some(user)
}
