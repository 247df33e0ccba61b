//! The kinds that are questions: who is this token, may he do that, what may I do. They are answered, never stored.

use apimachinery::{
    GroupKind, Object, Status, UserInfo,
    field::{Error, ErrorList, Path},
};
use auth::{Attributes, Decision, Rule};
use registry::{Body, RequestContext};
use serde_json::{Map, Value, json};

use crate::{discovery::Entry, server::ApiServer};

impl ApiServer {
    /// Answers a review; `None` when the resource is no review.
    pub(crate) async fn review(
        &self,
        entry: &Entry,
        context: &RequestContext,
        sent: &Body,
    ) -> Option<Result<Value, Status>> {
        let facts = entry.facts();
        if entry.subresource.is_some()
            || !matches!(facts.gvk.group.as_str(), "authentication.k8s.io" | "authorization.k8s.io")
        {
            return None;
        }
        let review = match decoded(entry, context, sent) {
            Ok(review) => review,
            Err(status) => return Some(Err(status)),
        };
        Some(match facts.gvk.kind.as_str() {
            "SelfSubjectReview" => Ok(self_subject_review(&context.user)),
            "TokenReview" => self.token_review(review).await,
            "SubjectAccessReview" | "LocalSubjectAccessReview" => self.access_review(review, context, None).await,
            "SelfSubjectAccessReview" => self.access_review(review, context, Some(&context.user)).await,
            "SelfSubjectRulesReview" => self.rules_review(review, context),
            _ => return None,
        })
    }

    async fn token_review(&self, mut review: Object) -> Result<Value, Status> {
        let token = review.get_str(&["spec", "token"]).unwrap_or_default().to_owned();
        if token.is_empty() {
            return Err(Status::bad_request("token is required for TokenReview in authentication"));
        }
        let asked: Vec<String> = strings(review.get(&["spec", "audiences"]));
        let audiences: Vec<&str> = match asked.is_empty() {
            true => self.inner.config.api_audiences.iter().map(String::as_str).collect(),
            false => asked.iter().map(String::as_str).collect(),
        };
        let now = jiff::Timestamp::now().as_second();
        let status = match self.inner.tokens.authenticate(&token, &audiences, now).await {
            Ok(known) => {
                let user = serde_json::to_value(&known.user).map_err(Status::internal)?;
                json!({"authenticated": true, "user": user, "audiences": known.audiences})
            }
            Err(error) => {
                tracing::debug!(%error, "a reviewed token was refused");
                json!({"user": {}, "error": "[invalid bearer token]"})
            }
        };
        review.set(&["status"], status);
        Ok(review.into_value())
    }

    async fn access_review(
        &self,
        mut review: Object,
        context: &RequestContext,
        own: Option<&UserInfo>,
    ) -> Result<Value, Status> {
        validate_access_review(&review, own.is_some())?;
        if review.kind() == "LocalSubjectAccessReview" {
            let asked = review.get_str(&["spec", "resourceAttributes", "namespace"]).unwrap_or_default();
            if asked != context.namespace() {
                return Err(Status::bad_request(format!(
                    "spec.resourceAttributes.namespace must match namespace: {}",
                    context.namespace()
                )));
            }
        }
        let user = own.cloned().unwrap_or_else(|| subject(&review));
        let attributes = attributes(&review, user);
        let mut status = Map::new();
        let reason = match self.decide(&attributes).await {
            Decision::Allow(reason) => {
                status.insert("allowed".to_owned(), true.into());
                reason
            }
            Decision::NoOpinion(reason) => {
                status.insert("allowed".to_owned(), false.into());
                reason
            }
            Decision::Deny(reason) => {
                status.insert("allowed".to_owned(), false.into());
                status.insert("denied".to_owned(), true.into());
                reason
            }
        };
        if !reason.is_empty() {
            status.insert("reason".to_owned(), reason.into());
        }
        review.set(&["status"], status);
        Ok(review.into_value())
    }

    fn rules_review(&self, mut review: Object, context: &RequestContext) -> Result<Value, Status> {
        let namespace = review.get_str(&["spec", "namespace"]).unwrap_or_default().to_owned();
        if namespace.is_empty() {
            return Err(Status::bad_request("no namespace on request"));
        }
        let held = self.inner.chain.rules_for(&context.user, &namespace);
        let (mut resource_rules, mut url_rules) = (Vec::new(), Vec::new());
        for rule in held.rules {
            if rule.non_resource_urls.is_empty() {
                resource_rules.push(resource_rule(&rule));
            } else {
                url_rules.push(json!({"verbs": rule.verbs, "nonResourceURLs": rule.non_resource_urls}));
            }
        }
        let mut status =
            json!({"resourceRules": resource_rules, "nonResourceRules": url_rules, "incomplete": held.incomplete});
        if !held.problem.is_empty() {
            status["evaluationError"] = held.problem.into();
        }
        review.set(&["spec"], json!({}));
        review.set(&["status"], status);
        Ok(review.into_value())
    }
}

/// The review in the body, decoded as every object is.
fn decoded(entry: &Entry, context: &RequestContext, sent: &Body) -> Result<Object, Status> {
    let mut review = crate::decode::object(entry.resource.as_ref(), context, sent)?;
    review.set_gvk(&entry.facts().gvk);
    if review.get(&["metadata"]).is_none() {
        review.set(&["metadata"], json!({}));
    }
    review.remove(&["status"]);
    Ok(review)
}

fn self_subject_review(user: &UserInfo) -> Value {
    json!({
        "kind": "SelfSubjectReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()},
        "status": {"userInfo": user},
    })
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

fn subject(review: &Object) -> UserInfo {
    let extra = review.get(&["spec", "extra"]).and_then(Value::as_object);
    UserInfo {
        username: review.get_str(&["spec", "user"]).unwrap_or_default().to_owned(),
        uid: review.get_str(&["spec", "uid"]).unwrap_or_default().to_owned(),
        groups: strings(review.get(&["spec", "groups"])),
        extra: extra.into_iter().flatten().map(|(key, values)| (key.clone(), strings(Some(values)))).collect(),
    }
}

fn attributes(review: &Object, user: UserInfo) -> Attributes {
    let text = |part: &str, field: &str| review.get_str(&["spec", part, field]).unwrap_or_default().to_owned();
    if review.get(&["spec", "nonResourceAttributes"]).is_some_and(|a| !a.is_null()) {
        return Attributes {
            user,
            verb: text("nonResourceAttributes", "verb"),
            path: text("nonResourceAttributes", "path"),
            ..Attributes::default()
        };
    }
    let of = |field: &str| text("resourceAttributes", field);
    Attributes {
        user,
        verb: of("verb"),
        namespace: of("namespace"),
        api_group: of("group"),
        api_version: of("version"),
        resource: of("resource"),
        subresource: of("subresource"),
        name: of("name"),
        resource_request: true,
        ..Attributes::default()
    }
}

fn validate_access_review(review: &Object, own: bool) -> Result<(), Status> {
    let mut errors = ErrorList::new();
    let spec = Path::new("spec");
    let given = |field: &str| review.get(&["spec", field]).is_some_and(|value| !value.is_null());
    match (given("resourceAttributes"), given("nonResourceAttributes")) {
        (true, true) => errors.push(Error::invalid(
            &spec.child("nonResourceAttributes"),
            review.get(&["spec", "nonResourceAttributes"]).cloned().unwrap_or_default(),
            "cannot be specified in combination with resourceAttributes",
        )),
        (false, false) => errors.push(Error::invalid(
            &spec.child("resourceAttributes"),
            "null",
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )),
        _ => {}
    }
    if !own
        && review.get_str(&["spec", "user"]).unwrap_or_default().is_empty()
        && strings(review.get(&["spec", "groups"])).is_empty()
    {
        errors.push(Error::invalid(&spec.child("user"), "", "at least one of user or group must be specified"));
    }
    if review.kind() == "LocalSubjectAccessReview" && given("nonResourceAttributes") {
        errors.push(Error::invalid(
            &spec.child("nonResourceAttributes"),
            review.get(&["spec", "nonResourceAttributes"]).cloned().unwrap_or_default(),
            "disallowed on this kind of request",
        ));
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(&GroupKind::new("authorization.k8s.io", ""), "", &errors))
}

fn resource_rule(rule: &Rule) -> Value {
    let mut value = json!({"verbs": rule.verbs, "apiGroups": rule.api_groups, "resources": rule.resources});
    if !rule.resource_names.is_empty() {
        value["resourceNames"] = rule.resource_names.clone().into();
    }
    value
}
