//! What a request wants to do, as authorizers see it.

use apimachinery::{FieldSelector, GroupResource, LabelSelector, Status, UserInfo};

/// One request to be judged. Either a resource request or, with `resource_request` unset, a path.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    pub user: UserInfo,
    /// `get`, `list`, `create` … for resources; the lower-cased method for paths.
    pub verb: String,
    pub namespace: String,
    pub api_group: String,
    pub api_version: String,
    pub resource: String,
    pub subresource: String,
    pub name: String,
    pub resource_request: bool,
    pub path: String,
    /// Selectors of list, watch and deletecollection, where the request has any that can be read.
    pub field_selector: FieldSelector,
    pub label_selector: LabelSelector,
}

impl Attributes {
    /// A request for a resource by somebody.
    pub fn resource(user: &UserInfo, verb: &str, api_group: &str, resource: &str) -> Self {
        Self {
            user: user.clone(),
            verb: verb.to_owned(),
            api_group: api_group.to_owned(),
            resource: resource.to_owned(),
            resource_request: true,
            ..Self::default()
        }
    }

    pub fn is_read_only(&self) -> bool {
        matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// `pods/log`; the bare resource where there is no subresource.
    pub fn combined_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    /// The refusal a client reads, in upstream's words, with the authorizers' reason when they gave one.
    pub fn forbidden(&self, reason: &str) -> Status {
        let mut why = self.cannot();
        if !reason.is_empty() {
            why.push_str(": ");
            why.push_str(reason);
        }
        if !self.resource_request {
            return Status::forbidden(&GroupResource::new("", ""), "", &why);
        }
        Status::forbidden(&GroupResource::new(self.api_group.clone(), self.resource.clone()), &self.name, &why)
    }

    fn cannot(&self) -> String {
        let user = apimachinery::field::quote(&self.user.username);
        if !self.resource_request {
            return format!("User {user} cannot {} path {}", self.verb, apimachinery::field::quote(&self.path));
        }
        let scope = if self.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {}", apimachinery::field::quote(&self.namespace))
        };
        format!(
            "User {user} cannot {} resource {} in API group {} {scope}",
            self.verb,
            apimachinery::field::quote(&self.combined_resource()),
            apimachinery::field::quote(&self.api_group),
        )
    }
}

/// An authorizer's opinion. The text is its reason, empty when there is nothing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Allow(String),
    /// No authorizer after this one is asked.
    Deny(String),
    NoOpinion(String),
}

impl Decision {
    pub fn allows(&self) -> bool {
        matches!(self, Self::Allow(_))
    }
}

/// Judges requests from what it holds in memory.
pub trait Authorizer: Send + Sync {
    fn authorize(&self, attributes: &Attributes) -> Decision;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_read_as_upstream_writes_them() {
        let mut a = Attributes::resource(&UserInfo::new("x", &[]), "list", "", "pods");
        a.namespace = "y".to_owned();
        assert_eq!(
            a.forbidden("").message,
            "pods is forbidden: User \"x\" cannot list resource \"pods\" in API group \"\" in the namespace \"y\""
        );
        a.subresource = "log".to_owned();
        a.verb = "get".to_owned();
        a.name = "p".to_owned();
        assert_eq!(
            a.forbidden("no").message,
            "pods \"p\" is forbidden: User \"x\" cannot get resource \"pods/log\" in API group \"\" in the namespace \
             \"y\": no"
        );
        let path = Attributes {
            user: UserInfo::anonymous(),
            verb: "get".to_owned(),
            path: "/metrics".to_owned(),
            ..Attributes::default()
        };
        assert_eq!(path.forbidden("").message, "forbidden: User \"system:anonymous\" cannot get path \"/metrics\"");
    }
}
