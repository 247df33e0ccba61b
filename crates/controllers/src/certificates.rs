//! The certificates of nodes: requests to the two signers of kubelets are approved when the asker may have what it
//! asks for, and signed. Upstream has three controllers for it (approving, signing, cleaning); one look at a request
//! tells all three things.

mod judge;

use std::{sync::Arc, time::Duration};

use api::{
    ByteString,
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition},
    core::v1::Node,
    jiff::Timestamp,
    meta::Time,
};
use client::PostParams;
use controller_runtime::{Controller, Error, Key, Lister, Next, Watch};
use pki::{Authority, SigningRequest};

use crate::context::Context;
use judge::{Signer, Verdict};

/// An answered request is of no more use after this time.
const KEEP_ANSWERED: Duration = Duration::from_secs(60 * 60);
/// A request nobody answers is dropped after this time.
const KEEP_PENDING: Duration = Duration::from_secs(24 * 60 * 60);

/// The authorities that sign for nodes, and for how long.
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

    async fn answer(&self, mut request: CertificateSigningRequest, signer: Signer) -> Result<(), Error> {
        let pem = String::from_utf8_lossy(&request.spec.request.0).into_owned();
        let verdict = match SigningRequest::parse(&pem) {
            Ok(asked) => {
                let nodes = self.nodes.fetch_all()?;
                let approved = has(&request, "Approved");
                match judge::judge(signer, &request.spec, &asked, &nodes) {
                    Verdict::AskFor(subresource, leaf) => {
                        if approved || self.may(&request, subresource).await? {
                            Verdict::Sign(leaf)
                        } else {
                            return Ok(());
                        }
                    }
                    other => other,
                }
                .with(asked)
            }
            Err(error) => (Verdict::Deny(error.to_string()), None),
        };
        let status = request.status.get_or_insert_default();
        let conditions = status.conditions.get_or_insert_default();
        match verdict {
            (Verdict::Sign(leaf), Some(asked)) => {
                let asked_life = request.spec.expiration_seconds.and_then(|s| u64::try_from(s).ok());
                let lifetime =
                    asked_life.map_or(self.signers.lifetime, |s| self.signers.lifetime.min(Duration::from_secs(s)));
                let authority = match signer {
                    Signer::Client => &self.signers.clients,
                    Signer::Serving => &self.signers.kubelets,
                };
                match authority.sign(&asked, &leaf, lifetime) {
                    Ok(certificate) => {
                        let chain = match signer {
                            Signer::Client => certificate,
                            Signer::Serving => certificate + authority.certificate_pem(),
                        };
                        status.certificate = Some(ByteString(chain.into_bytes()));
                        add(conditions, "Approved", "AutoApproved", signer.approval());
                    }
                    Err(error) => add(conditions, "Failed", "SigningError", &error.to_string()),
                }
            }
            (Verdict::Deny(reason), _) => add(conditions, "Denied", "NotAllowed", &reason),
            _ => return Ok(()),
        }
        let name = request.metadata.name.clone().unwrap_or_default();
        let api = self.context.client.all::<CertificateSigningRequest>();
        api.replace_status(&name, &PostParams::default(), &request).await?;
        Ok(())
    }
}

fn has(request: &CertificateSigningRequest, kind: &str) -> bool {
    let conditions = request.status.iter().flat_map(|s| s.conditions.iter().flatten());
    conditions.into_iter().any(|c| c.type_ == kind)
}

fn add(conditions: &mut Vec<CertificateSigningRequestCondition>, kind: &str, reason: &str, message: &str) {
    if conditions.iter().any(|c| c.type_ == kind) {
        return;
    }
    let now = Some(Time(Timestamp::now()));
    conditions.push(CertificateSigningRequestCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_update_time: now.clone(),
        last_transition_time: now,
    });
}

impl Controller for CertificateController {
    const NAME: &'static str = "csrapproving";

    fn watches(&self) -> Vec<Watch> {
        vec![Watch::own(&self.requests), Watch::read_only(&self.nodes)]
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(request) = self.requests.fetch(key)? else { return Ok(Next::Settled) };
        let issued = request.status.as_ref().is_some_and(|s| s.certificate.is_some());
        let answered = issued || has(&request, "Denied") || has(&request, "Failed");
        if let Some(signer) = Signer::of(&request.spec.signer_name).filter(|_| !answered) {
            self.answer(request.clone(), signer).await?;
        }
        let keep = if answered { KEEP_ANSWERED } else { KEEP_PENDING };
        let born = request.metadata.creation_timestamp.as_ref().map_or_else(Timestamp::now, |t| t.0);
        let age = Timestamp::now().duration_since(born).as_secs();
        let left = i64::try_from(keep.as_secs()).unwrap_or(i64::MAX).saturating_sub(age);
        if let Ok(left @ 1..) = u64::try_from(left) {
            return Ok(Next::After(Duration::from_secs(left)));
        }
        let name = request.metadata.name.unwrap_or_default();
        let api = self.context.client.all::<CertificateSigningRequest>();
        match api.delete(&name, &client::DeleteParams::default()).await {
            Ok(_) => Ok(Next::Settled),
            Err(error) if client::ApiError::is_not_found(&error) => Ok(Next::Settled),
            Err(error) => Err(error.into()),
        }
    }
}
