//! The standard gRPC health protocol (`grpc.health.v1.Health/Check`) in the little of gRPC that it needs: one unary
//! call over HTTP/2 without TLS.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::check::Outcome;
use crate::http_get::{dial_reason, host_port};

const MAX_ANSWER_BYTES: usize = 16 * 1024;
const SERVING: u64 = 1;
const UNIMPLEMENTED: &str = "12";

pub(crate) async fn check(host: &str, port: u16, service: &str, timeout: Duration, user_agent: &str) -> Outcome {
    let address = host_port(host, port);
    match tokio::time::timeout(timeout, call(&address, service, user_agent)).await {
        Ok(outcome) => outcome,
        Err(_) => Outcome::Failure(format!("timeout: failed to connect service {address:?} within {timeout:?}")),
    }
}

async fn call(address: &str, service: &str, user_agent: &str) -> Outcome {
    let stream = match TcpStream::connect(address).await {
        Ok(stream) => stream,
        Err(error) => {
            let reason = dial_reason(&error);
            return Outcome::Failure(format!("failed to connect service {address:?}: dial tcp {address}: {reason}"));
        }
    };
    let failed = |error: &dyn std::error::Error| Outcome::Failure(format!("error: health rpc failed: {error}"));
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = match handshake {
        Ok(pair) => pair,
        Err(error) => return failed(&error),
    };
    let request = Request::post(format!("http://{address}/grpc.health.v1.Health/Check"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, user_agent)
        .body(Full::new(message(service)));
    let request = match request {
        Ok(request) => request,
        Err(error) => return failed(&error),
    };
    let ask = async {
        let answer = match sender.send_request(request).await {
            Ok(answer) => answer,
            Err(error) => return failed(&error),
        };
        // Without a message the status is in the headers.
        let early = answer.headers().get("grpc-status").and_then(|v| v.to_str().ok()).map(str::to_owned);
        let body = match Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await {
            Ok(body) => body,
            Err(error) => return Outcome::Failure(format!("error: health rpc failed: {error}")),
        };
        let late = body.trailers().and_then(|t| t.get("grpc-status")).and_then(|v| v.to_str().ok()).map(str::to_owned);
        judge(late.or(early).as_deref(), &body.to_bytes())
    };
    let mut ask = std::pin::pin!(ask);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        outcome = &mut ask => outcome,
        ended = &mut connection => match ended {
            Ok(()) => ask.await,
            Err(error) => failed(&error),
        },
    }
}

/// A length-prefixed `HealthCheckRequest { service = 1 }`.
fn message(service: &str) -> Bytes {
    let mut proto = BytesMut::new();
    if !service.is_empty() {
        proto.put_u8(0x0a);
        put_varint(&mut proto, service.len() as u64);
        proto.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(proto.len() as u32);
    framed.put_slice(&proto);
    framed.freeze()
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn judge(status: Option<&str>, body: &[u8]) -> Outcome {
    match status {
        Some("0") | None => {}
        Some(UNIMPLEMENTED) => {
            let text = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)";
            return Outcome::Failure(text.to_owned());
        }
        Some(code) => return Outcome::Failure(format!("error: health rpc failed with code {code}")),
    }
    let serving = serving_status(body.get(5..).unwrap_or_default());
    if serving == SERVING {
        return Outcome::Success;
    }
    let word = match serving {
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "UNKNOWN",
    };
    Outcome::Failure(format!("service unhealthy (responded with {word:?})"))
}

/// Field 1 of a `HealthCheckResponse`; absent is 0.
fn serving_status(proto: &[u8]) -> u64 {
    let mut value = 0;
    if proto.first() == Some(&0x08) {
        for (place, byte) in proto[1..].iter().take(9).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        assert_eq!(judge(Some("0"), &[0, 0, 0, 0, 2, 8, 1]), Outcome::Success);
        let unhealthy = Outcome::Failure("service unhealthy (responded with \"NOT_SERVING\")".to_owned());
        assert_eq!(judge(Some("0"), &[0, 0, 0, 0, 2, 8, 2]), unhealthy);
        assert!(matches!(judge(Some("12"), &[]), Outcome::Failure(text) if text.contains("does not implement")));
        assert_eq!(&message("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
    }
}
