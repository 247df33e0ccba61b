//! Requests for certificates, where it is known who signs: those of nodes are approved when the asker may have what it
//! asks for; what is approved is signed; what is of no more use is deleted. Upstream has three controllers for it
//! (approving, signing, cleaning); one look at a request tells all three things.

mod age;
mod judge;

use std::{sync::Arc, time::Duration};

use api::{
    ByteString,
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition},
    core::v1::Node,
    jiff::Timestamp,
};
use client::PostParams;
use controller_runtime::{Controller, Error, Key, Lister, Next, Watch};
use pki::{Authority, SigningRequest};

use crate::context::Context;
use judge::{Signer, Verdict};

/// The authorities that sign for nodes and clients, and for how long.
#[derive(Clone)]
pub struct Signers {
    /// Of clients of the API server.
    pub clients: Arc<Authority>,
    /// Of what kubelets serve with. Its own certificate is sent along: kubelets trust the API server by it.
    pub kubelets: Arc<Authority>,
    pub lifetime: Duration,
}

impl std::fmt::Debug for Signers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signers").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

pub(crate) struct CertificateController {
    context: Context,
    signers: Signers,
    requests: Lister<CertificateSigningRequest>,
    nodes: Lister<Node>,
}

impl CertificateController {
    pub(crate) fn new(context: Context, signers: Signers) -> Self {
        let (requests, nodes) = (context.informers.watch(), context.informers.watch());
        Self { context, signers, requests, nodes }
    }

    /// Whether the asker may create the subresource that stands for what it asks.
    async fn may(&self, request: &CertificateSigningRequest, subresource: &str) -> Result<bool, Error> {
        let spec = &request.spec;
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: spec.username.clone(),
                uid: spec.uid.clone(),
                groups: spec.groups.clone(),
                extra: spec.extra.clone(),
                resource_attributes: Some(ResourceAttributes {
                    group: Some("certificates.k8s.io".to_owned()),
                    resource: Some("certificatesigningrequests".to_owned()),
                    subresource: Some(subresource.to_owned()),
                    verb: Some("create".to_owned()),
                    version: Some("*".to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let answer = self.context.client.all::<SubjectAccessReview>().create(&PostParams::default(), &review).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }

    /// Approves or denies, or leaves it to people.
    async fn approve(&self, mut request: CertificateSigningRequest, signer: Signer) -> Result<(), Error> {
        let verdict = match read(&request) {
            Ok(asked) => judge::judge(signer, &request.spec, &asked, &self.nodes.fetch_all()?),
            Err(error) if signer == Signer::Client => {
                tracing::debug!(%error, "a request for people to judge");
                return Ok(());
            }
            Err(error) => Verdict::Deny(error.to_string()),
        };
        let condition = match verdict {
            Verdict::Approve => condition("Approved", "AutoApproved", signer.approval()),
            Verdict::AskFor(subresource) if self.may(&request, subresource).await? => {
                condition("Approved", "AutoApproved", signer.approval())
            }
            Verdict::Deny(why) => condition("Denied", "NotAllowed", &why),
            Verdict::AskFor(_) | Verdict::Leave => return Ok(()),
        };
        request.status.get_or_insert_default().conditions.get_or_insert_default().push(condition);
        self.put("approval", &request).await
    }

    /// Signs what is approved, or says why that cannot be.
    async fn sign(&self, mut request: CertificateSigningRequest, signer: Signer) -> Result<(), Error> {
        let signed = read(&request).map_err(|error| ("SigningError", error.to_string())).and_then(|asked| {
            let leaf =
                judge::leaf(signer, &request.spec, &asked).map_err(|error| ("SignerValidationFailure", error))?;
            let asked_life = request.spec.expiration_seconds.and_then(|s| u64::try_from(s).ok());
            let lifetime = asked_life.map(Duration::from_secs).unwrap_or(Duration::MAX).min(self.signers.lifetime);
            let authority = match signer {
                Signer::Client | Signer::KubeletClient => &self.signers.clients,
                Signer::KubeletServing => &self.signers.kubelets,
            };
            let signed = authority.sign(&asked, &leaf, lifetime).map_err(|e| ("SigningError", e.to_string()))?;
            Ok(if signer == Signer::KubeletServing { signed + authority.certificate_pem() } else { signed })
        });
        let status = request.status.get_or_insert_default();
        match signed {
            Ok(chain) => status.certificate = Some(ByteString(chain.into_bytes())),
            Err((reason, why)) => {
                status.conditions.get_or_insert_default().push(condition("Failed", reason, &why));
            }
        }
        self.put("status", &request).await
    }

    async fn put(&self, subresource: &str, request: &CertificateSigningRequest) -> Result<(), Error> {
        let name = request.metadata.name.clone().unwrap_or_default();
        let api = self.context.client.all::<CertificateSigningRequest>();
        api.replace_subresource(subresource, &name, &PostParams::default(), request).await?;
        Ok(())
    }

    async fn delete(&self, name: &str) -> Result<Next, Error> {
        let api = self.context.client.all::<CertificateSigningRequest>();
        match api.delete(name, &client::DeleteParams::default()).await {
            Ok(_) => Ok(Next::Settled),
            Err(error) if client::ApiError::is_not_found(&error) => Ok(Next::Settled),
            Err(error) => Err(error.into()),
        }
    }
}

fn read(request: &CertificateSigningRequest) -> Result<SigningRequest, pki::PkiError> {
    SigningRequest::parse(&String::from_utf8_lossy(&request.spec.request.0))
}

fn has(request: &CertificateSigningRequest, kind: &str) -> bool {
    let conditions = request.status.iter().flat_map(|s| s.conditions.iter().flatten());
    conditions.into_iter().any(|c| c.type_ == kind)
}

/// Its times are the server's.
fn condition(kind: &str, reason: &str, message: &str) -> CertificateSigningRequestCondition {
    CertificateSigningRequestCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        ..CertificateSigningRequestCondition::default()
    }
}

impl Controller for CertificateController {
    const NAME: &'static str = "csrapproving";

    fn watches(&self) -> Vec<Watch> {
        vec![Watch::own(&self.requests), Watch::read_only(&self.nodes)]
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(request) = self.requests.fetch(key)? else { return Ok(Next::Settled) };
        if let Some(left) = age::time_left(&request, Timestamp::now())
            && left.is_zero()
        {
            return self.delete(&key.name).await;
        }
        let is_issued = request.status.as_ref().is_some_and(|s| s.certificate.is_some());
        let is_over = is_issued || has(&request, "Denied") || has(&request, "Failed");
        if let Some(signer) = Signer::of(&request.spec.signer_name).filter(|_| !is_over) {
            match has(&request, "Approved") {
                true => self.sign(request.clone(), signer).await?,
                false => self.approve(request.clone(), signer).await?,
            }
        }
        Ok(age::time_left(&request, Timestamp::now()).map_or(Next::Settled, Next::After))
    }
}
