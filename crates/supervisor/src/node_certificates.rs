//! The certificates of a node that joined: asked for by request, kept in the data folder, renewed while the node runs.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, bail};
use api::{
    ByteString,
    certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec},
    meta::ObjectMeta,
};
use client::{Client, PostParams, WatchEvent, WatchParams};
use controller_runtime::Tasks;
use futures::{StreamExt, TryStreamExt};
use pki::{Folder, KeyAndRequest, Leaf, Pair, ServingCertificate};

/// How long the server may take to sign.
const SIGNING_LIMIT: Duration = Duration::from_secs(60);
/// Renewal that failed is tried again after this time.
const RENEWAL_RETRY: Duration = Duration::from_secs(30);
/// However short a certificate's life, they are not renewed more often than this.
const RENEWAL_PAUSE: Duration = Duration::from_secs(5);
/// The clock may be set while we sleep, and the machine may sleep too, so no sleep is longer.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Client,
    Serving,
}

impl Purpose {
    fn file(self) -> &'static str {
        match self {
            Self::Client => "kubelet-client",
            Self::Serving => "kubelet",
        }
    }

    fn signer(self) -> &'static str {
        match self {
            Self::Client => "kubernetes.io/kube-apiserver-client-kubelet",
            Self::Serving => "kubernetes.io/kubelet-serving",
        }
    }

    fn usage(self) -> &'static str {
        match self {
            Self::Client => "client auth",
            Self::Serving => "server auth",
        }
    }
}

/// What a node has of certificates.
pub(crate) struct NodeCertificates {
    folder: Folder,
    node: String,
    address: IpAddr,
}

impl NodeCertificates {
    pub(crate) fn open(dir: PathBuf, node: &str, address: IpAddr) -> anyhow::Result<Self> {
        Ok(Self { folder: Folder::open(dir)?, node: node.to_owned(), address })
    }

    /// The authority of the API server, once the node has joined.
    pub(crate) fn authority(&self) -> anyhow::Result<Option<String>> {
        Ok(self.folder.file("server-ca.crt")?)
    }

    pub(crate) fn keep_authority(&self, pem: &str) -> anyhow::Result<()> {
        Ok(self.folder.keep_file("server-ca.crt", pem)?)
    }

    /// The pair at hand, if it is still valid.
    pub(crate) fn pair(&self, purpose: Purpose) -> anyhow::Result<Option<Pair>> {
        let pair = self.folder.pair(purpose.file())?;
        Ok(pair.filter(|pair| pki::is_valid_now(&pair.certificate_pem)))
    }

    /// How a node whose certificate ended is let in again.
    fn join_again(&self) -> String {
        format!(
            "start the agent with a --token once more, which `knarr token create --node {}` on the server prints; the node \
             keeps its subnet and its pods",
            self.node
        )
    }

    /// Why there is no pair to speak to the server with, and what is to be done.
    pub(crate) fn why_a_token(&self) -> anyhow::Result<String> {
        Ok(match self.folder.pair(Purpose::Client.file())?.filter(|_| matches!(self.authority(), Ok(Some(_)))) {
            Some(pair) => {
                let end = date(pki::end_time(&pair.certificate_pem));
                format!("the certificate of this node ended on {end}, while it was not renewed: {}", self.join_again())
            }
            None => "this node has not joined yet: give it a --token; `knarr token create` on the server prints one"
                .to_owned(),
        })
    }

    /// Fails if the clock stands before the certificate was made: then nobody's certificates can be judged.
    pub(crate) fn check_clock(&self) -> anyhow::Result<()> {
        match self.folder.pair(Purpose::Client.file())? {
            Some(pair) if !pki::is_begun(&pair.certificate_pem) => bail!(
                "the clock of this machine is wrong: it is {} here, and the certificate of this node was made later",
                date(Some(SystemTime::now()))
            ),
            _ => Ok(()),
        }
    }

    fn leaf(&self, purpose: Purpose) -> Leaf {
        let name = format!("system:node:{}", self.node);
        let mut leaf = match purpose {
            Purpose::Client => Leaf::client(name, None),
            Purpose::Serving => Leaf::server(name, &[&self.node], &[self.address]),
        };
        leaf.organization = Some("system:nodes".to_owned());
        leaf
    }

    /// Asks the server and keeps what it signs. The key never leaves this machine.
    pub(crate) async fn ask(&self, purpose: Purpose, client: &Client) -> anyhow::Result<Pair> {
        let request = KeyAndRequest::make(&self.leaf(purpose), None)?;
        let certificate = sign(client, purpose, &request.request_pem).await?;
        let pair = request.complete(certificate).context("the server's certificate")?;
        self.folder.keep_pair(purpose.file(), &pair)?;
        Ok(pair)
    }

    /// Exchanges the certificate whenever a third of its life is left, as long as the tasks run.
    pub(crate) fn keep_fresh(
        self: &Arc<Self>,
        purpose: Purpose,
        mut pair: Pair,
        used: Arc<ServingCertificate>,
        client: Client,
        tasks: &Tasks,
    ) {
        let certificates = self.clone();
        tasks.spawn("certificate-renewal", async move {
            loop {
                let due = pki::renewal_time(&pair.certificate_pem).unwrap_or(SystemTime::UNIX_EPOCH);
                if let Ok(left) = due.duration_since(SystemTime::now()) {
                    tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
                    continue;
                }
                match certificates.ask(purpose, &client).await.and_then(|new| Ok(used.replace(&new).map(|()| new)?)) {
                    Ok(new) => {
                        tracing::info!(?purpose, "certificate renewed");
                        pair = new;
                        tokio::time::sleep(RENEWAL_PAUSE).await;
                    }
                    Err(error) if matches!(purpose, Purpose::Client) && !pki::is_valid_now(&pair.certificate_pem) => {
                        let (ended, error) = (date(pki::end_time(&pair.certificate_pem)), format!("{error:#}"));
                        tracing::error!(
                            ended,
                            error,
                            "the certificate of this node has ended: {}",
                            certificates.join_again()
                        );
                        tokio::time::sleep(RENEWAL_RETRY).await;
                    }
                    Err(error) => {
                        tracing::error!(?purpose, error = format!("{error:#}"), "the certificate could not be renewed");
                        tokio::time::sleep(RENEWAL_RETRY).await;
                    }
                }
            }
        });
    }
}

/// For people.
fn date(time: Option<SystemTime>) -> String {
    let time = time.and_then(|time| jiff::Timestamp::try_from(time).ok());
    time.map_or_else(|| "a day that cannot be read".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// Makes a request and waits for its certificate.
async fn sign(client: &Client, purpose: Purpose, request_pem: &str) -> anyhow::Result<String> {
    let request = CertificateSigningRequest {
        metadata: ObjectMeta { generate_name: Some("node-csr-".to_owned()), ..ObjectMeta::default() },
        spec: CertificateSigningRequestSpec {
            request: ByteString(request_pem.as_bytes().to_vec()),
            signer_name: purpose.signer().to_owned(),
            usages: Some(vec!["digital signature".to_owned(), purpose.usage().to_owned()]),
            ..CertificateSigningRequestSpec::default()
        },
        status: None,
    };
    let api = client.all::<CertificateSigningRequest>();
    let made = api.create(&PostParams::default(), &request).await?;
    let name = made.metadata.name.clone().unwrap_or_default();
    let version = made.metadata.resource_version.clone().unwrap_or_default();
    let answered = async {
        let params = WatchParams::default().fields(&format!("metadata.name={name}"));
        let mut events = api.watch(&params, &version).await?.boxed();
        while let Some(event) = events.try_next().await? {
            let (WatchEvent::Modified(request) | WatchEvent::Added(request)) = event else { continue };
            let status = request.status.unwrap_or_default();
            let refusal = status.conditions.iter().flatten().find(|c| c.type_ == "Denied" || c.type_ == "Failed");
            if let Some(refusal) = refusal {
                bail!("the server refuses a certificate: {}", refusal.message.clone().unwrap_or_default());
            }
            if let Some(certificate) = status.certificate {
                return String::from_utf8(certificate.0).context("the server's certificate is no text");
            }
        }
        bail!("the server ended the watch for {name}")
    };
    match tokio::time::timeout(SIGNING_LIMIT, answered).await {
        Ok(done) => done,
        Err(_) => bail!("the server has not signed {name} within {SIGNING_LIMIT:?}"),
    }
}
