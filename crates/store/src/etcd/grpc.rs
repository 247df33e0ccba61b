//! Calls over one HTTP/2 connection, framed as gRPC frames them. No more of gRPC than a client of etcd needs.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::FutureExt;
use http::{HeaderMap, HeaderValue, Request, Uri, header};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use prost::Message;
use tokio::{sync::oneshot, task::JoinSet};

use super::{login::Login, status::Status, trouble::EtcdTrouble};

/// The largest message that is taken. Etcd cuts what it tells of changes at two megabytes; pages of a list are asked
/// for in sizes that stay far below.
pub(crate) const MAX_MESSAGE_BYTES: usize = 128 << 20;
/// Before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// How often a call is asked again with a new token: whoever changes users makes all tokens old.
const MAX_RENEWALS: u32 = 3;

/// A connection. Calls on it run side by side; dropping it ends them.
pub(crate) struct Channel {
    /// Which of the configured endpoints it leads to.
    pub(crate) number: usize,
    pub(crate) endpoint: Arc<str>,
    pub(super) sender: SendRequest<Outgoing>,
    /// Scheme and authority.
    pub(super) base: Uri,
    pub(super) login: Option<Login>,
    pub(super) _connection: JoinSet<()>,
}

/// Why a call has no answer.
#[derive(Debug)]
pub(crate) enum CallError {
    /// Nothing of it was sent, so nothing of it happened.
    NotSent(EtcdTrouble),
    /// Etcd says why.
    Status(Status),
    /// It was sent, and its answer lost.
    Lost(EtcdTrouble),
}

impl CallError {
    pub(crate) fn into_trouble(self, endpoint: &Arc<str>) -> EtcdTrouble {
        match self {
            CallError::NotSent(trouble) | CallError::Lost(trouble) => trouble,
            CallError::Status(status) => status.into_trouble(endpoint),
        }
    }
}

impl Channel {
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Asks, and returns the one answer. Who has to log in, or has to again, does.
    pub(crate) async fn call<A: Message + Default>(&self, path: &str, asked: &impl Message) -> Result<A, CallError> {
        let Some(login) = &self.login else { return self.call_as(path, asked, None).await };
        let mut renewed = 0;
        loop {
            let token = login.token();
            match self.call_as(path, asked, token.clone()).await {
                Err(CallError::Status(status)) if status.wants_login() && renewed < MAX_RENEWALS => {
                    renewed += 1;
                    login.renew(self, token).await?;
                }
                answer => return answer,
            }
        }
    }

    /// The first login of this connection, if there is to be one.
    pub(super) async fn log_in(&self) -> Result<(), CallError> {
        match &self.login {
            Some(login) => login.renew(self, None).await,
            None => Ok(()),
        }
    }

    /// Asks with this token.
    pub(super) async fn call_as<A: Message + Default>(
        &self,
        path: &str,
        asked: &impl Message,
        token: Option<HeaderValue>,
    ) -> Result<A, CallError> {
        let mut answers = self.send(path, Outgoing { frame: Some(framed(asked)), open: None }, token).await?;
        let answer = answers.next().await?;
        // The status comes after the answer, and only with it the answer counts.
        while answers.next::<A>().await?.is_some() {}
        answer.ok_or_else(|| CallError::Lost(answers.unintelligible("an answer without a message")))
    }

    /// Asks, and returns the answers as they come. The call ends when they are dropped.
    pub(crate) async fn stream(&self, path: &str, asked: &impl Message) -> Result<Answers, CallError> {
        let (open, closed) = oneshot::channel();
        let token = self.login.as_ref().and_then(Login::token);
        let mut answers = self.send(path, Outgoing { frame: Some(framed(asked)), open: Some(closed) }, token).await?;
        answers.open = Some(open);
        Ok(answers)
    }

    async fn send(&self, path: &str, body: Outgoing, token: Option<HeaderValue>) -> Result<Answers, CallError> {
        let mut request = Request::post(format!("{}{path}", self.base.to_string().trim_end_matches('/')))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            // A member that has lost the others says so, and does not keep us waiting.
            .header("hasleader", "true")
            .body(body)
            .map_err(|e| CallError::NotSent(self.broken(e)))?;
        if let Some(token) = token {
            request.headers_mut().insert("token", token);
        }
        let response = self.sender.clone().try_send_request(request).await.map_err(|mut e| {
            let is_unsent = e.take_message().is_some();
            let trouble = self.broken(e.into_error());
            if is_unsent { CallError::NotSent(trouble) } else { CallError::Lost(trouble) }
        })?;
        let (head, body) = response.into_parts();
        let answers = Answers { endpoint: self.endpoint.clone(), body, buffer: BytesMut::new(), open: None };
        if head.status != http::StatusCode::OK {
            return Err(CallError::Lost(answers.unintelligible(&format!("HTTP status {}", head.status))));
        }
        // A refusal may come without a body.
        match Status::of(&head.headers) {
            Some(status) if !status.is_ok() => Err(CallError::Status(status)),
            _ => Ok(answers),
        }
    }

    fn broken(&self, source: impl std::error::Error + Send + Sync + 'static) -> EtcdTrouble {
        EtcdTrouble::Broken { endpoint: self.endpoint.clone(), source: Arc::new(source) }
    }
}

/// What comes back for one call.
pub(crate) struct Answers {
    endpoint: Arc<str>,
    body: Incoming,
    buffer: BytesMut,
    /// Dropping it ends our side of the call.
    open: Option<oneshot::Sender<Infallible>>,
}

impl Answers {
    /// The next message; `None` at a good end. Cancel safe.
    pub(crate) async fn next<A: Message + Default>(&mut self) -> Result<Option<A>, CallError> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            let frame = match self.body.frame().await {
                Some(Ok(frame)) => frame,
                Some(Err(source)) => return Err(CallError::Lost(self.broken(source))),
                None => return Err(CallError::Lost(self.unintelligible("an end without a status"))),
            };
            match frame.into_data() {
                Ok(data) => self.buffer.put(data),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    return self.end(&trailers);
                }
            }
        }
    }

    /// The next message, if it is here already.
    pub(crate) fn ready<A: Message + Default>(&mut self) -> Option<Result<Option<A>, CallError>> {
        self.next().now_or_never()
    }

    fn end<A>(&self, trailers: &HeaderMap) -> Result<Option<A>, CallError> {
        match Status::of(trailers) {
            Some(status) if status.is_ok() => Ok(None),
            Some(status) => Err(CallError::Status(status)),
            None => Err(CallError::Lost(self.unintelligible("an end without a status"))),
        }
    }

    /// A whole message of the buffer.
    fn take<A: Message + Default>(&mut self) -> Result<Option<A>, CallError> {
        if self.buffer.len() < PREFIX_BYTES {
            return Ok(None);
        }
        let mut prefix = &self.buffer[..PREFIX_BYTES];
        let (compressed, bytes) = (prefix.get_u8(), prefix.get_u32() as usize);
        if compressed != 0 {
            return Err(CallError::Lost(self.unintelligible("a compressed message that was not asked for")));
        }
        if bytes > MAX_MESSAGE_BYTES {
            let (endpoint, limit) = (self.endpoint.clone(), MAX_MESSAGE_BYTES);
            return Err(CallError::Lost(EtcdTrouble::TooLong { endpoint, bytes, limit }));
        }
        if self.buffer.len() < PREFIX_BYTES + bytes {
            self.buffer.reserve(PREFIX_BYTES + bytes - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(PREFIX_BYTES);
        let message = A::decode(self.buffer.split_to(bytes).freeze());
        message.map(Some).map_err(|e| {
            let endpoint = self.endpoint.clone();
            CallError::Lost(EtcdTrouble::Unintelligible { endpoint, source: Arc::new(e) })
        })
    }

    fn broken(&self, source: hyper::Error) -> EtcdTrouble {
        EtcdTrouble::Broken { endpoint: self.endpoint.clone(), source: Arc::new(source) }
    }

    fn unintelligible(&self, what: &str) -> EtcdTrouble {
        let source: Box<dyn std::error::Error + Send + Sync> = what.into();
        EtcdTrouble::Unintelligible { endpoint: self.endpoint.clone(), source: source.into() }
    }
}

/// What a call sends: one message, and then its end, at once or when whoever asked is done with the answers.
pub(crate) struct Outgoing {
    frame: Option<Bytes>,
    open: Option<oneshot::Receiver<Infallible>>,
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(frame) = self.frame.take() {
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
        match &mut self.open {
            // Nothing is ever sent to it: it is ready when the other end was dropped.
            Some(closed) => closed.poll_unpin(cx).map(|_| None),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frame.is_none() && self.open.is_none()
    }
}

fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + length);
    frame.put_u8(0);
    // What is over four gigabytes was refused long before.
    frame.put_u32(length as u32);
    message.encode(&mut frame).expect("the buffer grows");
    frame.freeze()
}
