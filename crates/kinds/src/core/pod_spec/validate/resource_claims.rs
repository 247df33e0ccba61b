//! Claims to devices that a pod makes.

use api::core::v1::PodResourceClaim;
use apimachinery::field::{Error, ErrorList, Path};

use crate::rules;

/// Judges the claims and returns their names.
pub(super) fn validate<'a>(claims: &'a [PodResourceClaim], path: &Path, errors: &mut ErrorList) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for (index, claim) in claims.iter().enumerate() {
        let path = path.index(index);
        let at = path.child("name");
        match claim.name.as_str() {
            "" => errors.push(Error::required(&at, "")),
            name if names.contains(&name) => errors.push(Error::duplicate(&at, name)),
            name => {
                rules::label(name, &at, errors);
                names.push(name);
            }
        }
        match (&claim.resource_claim_name, &claim.resource_claim_template_name) {
            (None, None) => {
                let why = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
                errors.push(Error::invalid_printed(&path, format!("{{Name:{}}}", claim.name), why));
            }
            (Some(_), Some(_)) => {
                let why = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                errors.push(Error::invalid_printed(&path, format!("{{Name:{}}}", claim.name), why));
            }
            (Some(name), None) => rules::subdomain(name, &path.child("resourceClaimName"), errors),
            (None, Some(name)) => rules::subdomain(name, &path.child("resourceClaimTemplateName"), errors),
        }
    }
    names
}
