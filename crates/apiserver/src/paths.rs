//! Everything that is no resource: a table of paths.

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    discovery,
    negotiation::{self, Accepted, View, Views},
    respond::{self, Body, Looks},
    server::{ApiServer, Cx},
    version,
};

/// What stands behind a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    Index,
    CoreVersions,
    Groups,
    Health,
    Metrics,
    OpenApiV2,
    OpenApiV3Index,
    OpenApiV3,
    OpenIdConfiguration,
    OpenIdKeys,
    Version,
}

/// A path and what stands behind it.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub path: &'static str,
    /// Also all paths below.
    pub subtree: bool,
    pub page: Page,
}

const fn exact(path: &'static str, page: Page) -> Route {
    Route { path, subtree: false, page }
}

const fn subtree(path: &'static str, page: Page) -> Route {
    Route { path, subtree: true, page }
}

/// All of them. Discovery below `/api` and `/apis` follows from the resources.
pub const ROUTES: &[Route] = &[
    exact("/", Page::Index),
    exact("/.well-known/openid-configuration", Page::OpenIdConfiguration),
    exact("/api", Page::CoreVersions),
    exact("/apis", Page::Groups),
    subtree("/healthz", Page::Health),
    subtree("/livez", Page::Health),
    exact("/metrics", Page::Metrics),
    exact("/openapi/v2", Page::OpenApiV2),
    exact("/openapi/v3", Page::OpenApiV3Index),
    subtree("/openapi/v3", Page::OpenApiV3),
    exact("/openid/v1/jwks", Page::OpenIdKeys),
    subtree("/readyz", Page::Health),
    exact("/version", Page::Version),
];

fn route(path: &str) -> Option<Page> {
    let trimmed = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    let matches = |route: &&Route| {
        route.path == trimmed
            || (route.subtree && trimmed.strip_prefix(route.path).is_some_and(|rest| rest.starts_with('/')))
    };
    ROUTES.iter().find(matches).map(|route| route.page)
}

impl ApiServer {
    pub(crate) async fn serve_path(&self, cx: Cx) -> Response<Body> {
        let path = cx.info.path.clone();
        let Some(page) = route(&path) else { return self.discovery_below(&cx) };
        let get = matches!(*cx.request.method(), Method::GET | Method::HEAD);
        if !get && !matches!(page, Page::Index | Page::Health | Page::Metrics) {
            return cx.looks(Accepted::default()).status(&respond::method_not_allowed());
        }
        match page {
            Page::Index => self.negotiated_page(&cx, Views::None, |_| Some(self.index())),
            Page::CoreVersions => self.discovery_root(&cx, true),
            Page::Groups => self.discovery_root(&cx, false),
            Page::Health => self.health().await.answer(&path, &cx.query).unwrap_or_else(respond::not_found_page),
            Page::Metrics => respond::bytes(
                StatusCode::OK,
                "text/plain; version=0.0.4; charset=utf-8",
                self.inner.metrics.text(self.inner.flow.running()),
            ),
            Page::OpenApiV2 => self.inner.openapi.v2(&self.inner.catalog.load_full(), &cx),
            Page::OpenApiV3Index => self.inner.openapi.v3_index(&self.inner.catalog.load_full(), &cx),
            Page::OpenApiV3 => {
                self.inner.openapi.v3(&self.inner.catalog.load_full(), &cx, path.trim_start_matches("/openapi/v3/"))
            }
            Page::OpenIdConfiguration => self.openid_configuration(),
            Page::OpenIdKeys if !accepts(&cx, KEY_SET) => {
                respond::status(&apimachinery::Status::not_acceptable(&[KEY_SET]))
            }
            Page::OpenIdKeys => {
                let mut response =
                    respond::bytes(StatusCode::OK, KEY_SET, self.inner.config.token_key.jwks().to_string());
                response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
                response
            }
            Page::Version => cx.looks(Accepted::default()).document(StatusCode::OK, &version::document()),
        }
    }

    fn index(&self) -> Value {
        let mut paths: Vec<String> = ROUTES.iter().filter(|r| r.path != "/").map(|r| r.path.to_owned()).collect();
        let catalog = self.inner.catalog.load();
        for group in catalog.groups() {
            let root = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
            paths.extend(catalog.versions(group).map(|version| format!("{root}/{version}")));
            paths.push(root);
        }
        paths.sort();
        paths.dedup();
        json!({"paths": paths})
    }

    /// `/api` and `/apis`, plain or aggregated.
    fn discovery_root(&self, cx: &Cx, core: bool) -> Response<Body> {
        let accepted = match negotiation::accept(cx.accept().as_deref(), Views::Discovery) {
            Ok(accepted) => accepted,
            Err(status) => return respond::status(&status),
        };
        let catalog = self.inner.catalog.load();
        let looks = cx.looks(accepted);
        let mut response = match &looks.accepted.view {
            View::Discovery(version) => {
                let document = discovery::aggregated(&catalog, core, version);
                let tag = etag(document.to_string().as_bytes());
                let mut response = if_changed(cx.request.headers(), &tag)
                    .unwrap_or_else(|| tagged(looks.document(StatusCode::OK, &document), &tag));
                let headers = response.headers_mut();
                let written = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
                let content_type = written
                    .filter(|media| matches!(*media, negotiation::JSON | negotiation::PROTOBUF))
                    .map(|media| format!("{media};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"));
                if let Some(Ok(value)) = content_type.map(|text| HeaderValue::from_str(&text)) {
                    headers.insert(header::CONTENT_TYPE, value);
                }
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
                response
            }
            _ if core => looks.document(StatusCode::OK, &catalog.api_versions(&self.inner.config.advertised())),
            _ => looks.document(StatusCode::OK, &catalog.group_list()),
        };
        response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept"));
        response
    }

    /// `/api/v1`, `/apis/{group}`, `/apis/{group}/{version}`.
    fn discovery_below(&self, cx: &Cx) -> Response<Body> {
        let catalog = self.inner.catalog.load();
        let parts: Vec<&str> = cx.info.path.trim_matches('/').split('/').collect();
        let (known, document) = match parts.as_slice() {
            ["api", version] => (true, catalog.resource_list("", version)),
            ["apis", group] => (catalog.group(group).is_some(), catalog.group(group)),
            ["apis", group, version] => (catalog.group(group).is_some(), catalog.resource_list(group, version)),
            _ => (false, None),
        };
        if !known {
            return respond::not_found_page();
        }
        let Some(document) = document else {
            return cx.looks(Accepted::default()).status(&respond::no_such_resource());
        };
        if cx.request.method() != Method::GET {
            return cx.looks(Accepted::default()).status(&respond::method_not_allowed());
        }
        self.negotiated_page(cx, Views::None, |_| Some(document))
    }

    fn negotiated_page(&self, cx: &Cx, views: Views, document: impl FnOnce(&Looks) -> Option<Value>) -> Response<Body> {
        match negotiation::accept(cx.accept().as_deref(), views) {
            Err(status) => respond::status(&status),
            Ok(accepted) => {
                let looks = cx.looks(accepted);
                match document(&looks) {
                    Some(document) => looks.document(StatusCode::OK, &document),
                    None => respond::not_found_page(),
                }
            }
        }
    }

    fn openid_configuration(&self) -> Response<Body> {
        let config = &self.inner.config;
        let document = json!({
            "issuer": config.issuer,
            "jwks_uri": format!("https://{}/openid/v1/jwks", config.advertised()),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        let mut response = respond::bytes(StatusCode::OK, negotiation::JSON, document.to_string());
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
        response
    }
}

const KEY_SET: &str = "application/jwk-set+json";

/// Whether the client takes this media type; without a header it takes everything.
fn accepts(cx: &Cx, media_type: &str) -> bool {
    cx.accept().is_none_or(|accept| ["*/*", "application/*", media_type].iter().any(|m| accept.contains(m)))
}

/// A strong entity tag of a document.
pub(crate) fn etag(document: &[u8]) -> String {
    let digest: String = Sha256::digest(document).iter().map(|b| format!("{b:02X}")).collect();
    format!("\"{digest}\"")
}

/// 304 where the client has the document already, and the tag on the answer otherwise.
pub(crate) fn if_changed(headers: &HeaderMap, tag: &str) -> Option<Response<Body>> {
    let known = headers.get(header::IF_NONE_MATCH)?.to_str().ok()?;
    if !known.split(',').any(|k| k.trim() == tag) {
        return None;
    }
    let mut response = Response::new(respond::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    Some(tagged(response, tag))
}

pub(crate) fn tagged(mut response: Response<Body>, tag: &str) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_pages() {
        assert_eq!(route("/"), Some(Page::Index));
        assert_eq!(route("/healthz/ping"), Some(Page::Health));
        assert_eq!(route("/version/"), Some(Page::Version));
        assert_eq!(route("/openapi/v3"), Some(Page::OpenApiV3Index));
        assert_eq!(route("/openapi/v3/apis/apps/v1"), Some(Page::OpenApiV3));
        assert_eq!(route("/healthzz"), None);
        assert_eq!(route("/api/v1"), None);
    }
}
