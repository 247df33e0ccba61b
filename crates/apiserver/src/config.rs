//! What the server must be told.

use std::{net::IpAddr, sync::Arc};

use pki::TokenKey;

/// What a client without credentials may ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Anonymous {
    Nothing,
    /// Health and version, which load balancers and installers look at. Authorization still has to allow it.
    #[default]
    HealthAndVersion,
    /// Whatever authorization allows anonymous users.
    Everything,
}

/// Which authorizers are asked, after the group of masters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthorizationModes {
    pub node: bool,
    pub rbac: bool,
}

/// Configuration of one API server. Sockets are the adapter's matter ([`crate::Listener`]).
#[derive(Clone)]
pub struct Config {
    /// Where clients reach this server: endpoints of the Service `kubernetes`, and discovery.
    pub advertise_address: IpAddr,
    pub advertise_port: u16,
    pub anonymous: Anonymous,
    pub authorization: AuthorizationModes,
    /// Names this cluster in service account tokens: `https://kubernetes.default.svc`.
    pub issuer: String,
    /// Whom tokens are for when nobody else is named. The first is put into new tokens.
    pub api_audiences: Vec<String>,
    pub token_key: Arc<TokenKey>,
    /// PEM of the authority of client certificates, published for aggregated servers.
    pub client_ca_pem: String,
    /// Where other API servers may live on the same store: how this one makes itself known to them. Without, it is
    /// alone.
    pub hostname: Option<String>,
    /// How to speak to kubelets: trusts their serving certificates, presents our client certificate.
    pub kubelet_tls: Arc<rustls::ClientConfig>,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("advertise_address", &self.advertise_address)
            .field("advertise_port", &self.advertise_port)
            .field("anonymous", &self.anonymous)
            .field("authorization", &self.authorization)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

impl Config {
    pub fn advertised(&self) -> String {
        std::net::SocketAddr::new(self.advertise_address, self.advertise_port).to_string()
    }
}
