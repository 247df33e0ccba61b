//! Requests for certificates: that they are any, who may approve and who may sign them for which signer, and what
//! nobody may ask for. Upstream's admission plug-ins CertificateApproval, CertificateSigning and
//! CertificateSubjectRestriction; they stand here because they ask the authorizers and read certificates.

use apimachinery::{
    Object, Status, UserInfo,
    field::{Error, Path},
};
use auth::Decision;
use registry::{Attributes, Operation};

use crate::server::ApiServer;

const GROUP: &str = "certificates.k8s.io";
/// Who signs certificates of clients of the API server.
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";
/// The group that may do everything, and that no certificate shall be asked for.
const MASTERS: &str = "system:masters";

/// Judges writes of such requests; all others pass.
pub(crate) async fn check(server: &ApiServer, a: &Attributes<'_>, object: Option<&Object>) -> Result<(), Status> {
    let facts = a.resource.facts();
    let (Some(new), true) = (object, facts.gvk.group == GROUP && facts.plural == "certificatesigningrequests") else {
        return Ok(());
    };
    let forbidden = |why: &str| Err(Status::forbidden(&facts.group_resource(), a.name, why));
    let (verb, doing) = match (a.operation, a.subresource) {
        (Operation::Create, "") => return check_new(a, new),
        (Operation::Update, "approval") => ("approve", "approve"),
        (Operation::Update, "status") if a.old.is_none_or(|old| is_answered_otherwise(new, old)) => ("sign", "sign"),
        _ => return Ok(()),
    };
    let signer = new.get_str(&["spec", "signerName"]).unwrap_or_default();
    if may(server, a.user, verb, signer).await {
        return Ok(());
    }
    let signer = apimachinery::field::quote(signer);
    forbidden(&format!("user not permitted to {doing} requests with signerName {signer}"))
}

fn is_answered_otherwise(new: &Object, old: &Object) -> bool {
    ["certificate", "conditions"].iter().any(|field| new.get(&["status", field]) != old.get(&["status", field]))
}

/// By the signer's name, or by all of its domain.
async fn may(server: &ApiServer, user: &UserInfo, verb: &str, signer: &str) -> bool {
    let domain = signer.split('/').next().unwrap_or_default();
    for name in [signer.to_owned(), format!("{domain}/*")] {
        let mut attributes = auth::Attributes::resource(user, verb, GROUP, "signers");
        attributes.name = name;
        attributes.api_version = "*".to_owned();
        if matches!(server.decide(&attributes).await, Decision::Allow(_)) {
            return true;
        }
    }
    false
}

fn check_new(a: &Attributes<'_>, new: &Object) -> Result<(), Status> {
    let facts = a.resource.facts();
    let encoded = new.get_str(&["spec", "request"]).unwrap_or_default();
    let organizations = match pki::organizations_asked_for(encoded) {
        Ok(organizations) => organizations,
        Err(error) => {
            let path = Path::new("spec").child("request");
            let error = Error::invalid(&path, "<bytes>", error.to_string());
            return Err(Status::invalid(&facts.group_kind(), new.name(), &error.into()));
        }
    };
    let signer = new.get_str(&["spec", "signerName"]).unwrap_or_default();
    if signer == CLIENT_SIGNER && organizations.iter().any(|group| group == MASTERS) {
        let why = format!("use of {signer} signer with {MASTERS} group is not allowed");
        return Err(Status::forbidden(&facts.group_resource(), new.name(), &why));
    }
    Ok(())
}
