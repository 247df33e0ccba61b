//! A user's token, asked for with a password, sent with each call on a connection, and renewed when etcd forgot it.

use std::sync::Arc;

use http::HeaderValue;
use parking_lot::Mutex;

use super::{
    config::{EtcdLogin, EtcdPassword},
    grpc::{CallError, Channel},
    messages::{AuthenticateRequest, AuthenticateResponse},
    trouble::EtcdTrouble,
};

const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";

/// The login of one connection: members do not tell each other when a token was used last.
pub(crate) struct Login {
    settings: EtcdLogin,
    token: Mutex<Option<HeaderValue>>,
    /// One asks for all: etcd takes its time to compare a password.
    renewing: tokio::sync::Mutex<()>,
}

impl Login {
    pub(crate) fn new(settings: EtcdLogin) -> Login {
        Login { settings, token: Mutex::default(), renewing: tokio::sync::Mutex::default() }
    }

    pub(crate) fn token(&self) -> Option<HeaderValue> {
        self.token.lock().clone()
    }

    /// Gets another token than this one, unless somebody else has meanwhile.
    pub(crate) async fn renew(&self, channel: &Channel, stale: Option<HeaderValue>) -> Result<(), CallError> {
        let _alone = self.renewing.lock().await;
        let current = self.token();
        if current.is_some() && current != stale {
            return Ok(());
        }
        let password = self.settings.password.read().await.map_err(CallError::NotSent)?;
        let asked = AuthenticateRequest { name: self.settings.user.clone(), password };
        let answer: AuthenticateResponse = match channel.call_as(AUTHENTICATE, &asked, None).await {
            Ok(answer) => answer,
            Err(CallError::Status(status)) if status.knows_no_users() => {
                tracing::warn!(endpoint = %channel.endpoint, "etcd does not ask who its clients are; a user is configured");
                return Ok(());
            }
            // What the token was wanted for was not asked.
            Err(error) => return Err(CallError::NotSent(error.into_trouble(&channel.endpoint))),
        };
        let mut token = HeaderValue::try_from(answer.token).map_err(|e| {
            let endpoint = channel.endpoint.clone();
            CallError::NotSent(EtcdTrouble::Unintelligible { endpoint, source: Arc::new(e) })
        })?;
        token.set_sensitive(true);
        *self.token.lock() = Some(token);
        Ok(())
    }
}

impl EtcdPassword {
    async fn read(&self) -> Result<String, EtcdTrouble> {
        match self {
            EtcdPassword::Given(password) => Ok(password.to_string()),
            EtcdPassword::File(path) => match tokio::fs::read_to_string(path).await {
                Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
                Err(source) => {
                    Err(EtcdTrouble::NoPassword { path: path.display().to_string(), source: Arc::new(source) })
                }
            },
        }
    }
}
