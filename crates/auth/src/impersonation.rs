//! Acting as somebody else: the `Impersonate-*` headers, and what one must be allowed for each of them.

use apimachinery::UserInfo;
use percent_encoding::percent_decode_str;

use crate::{Attributes, Authorizer};

const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";
const EXTRA_PREFIX: &str = "impersonate-extra-";

/// Whom a request wants to act as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impersonation {
    pub user: Option<String>,
    pub uid: Option<String>,
    pub groups: Vec<String>,
    pub extra: std::collections::BTreeMap<String, Vec<String>>,
}

/// Headers that ask for impersonation without naming a user. Upstream answers 500 with this text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("requested [{requested}] without impersonating a user")]
pub struct WithoutUser {
    requested: String,
}

impl Impersonation {
    /// Reads the headers; `None` when there are none of them. Names are expected in lower case, as HTTP libraries
    /// have them.
    pub fn from_headers<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Option<Self>, WithoutUser> {
        let mut wanted = Self::default();
        for (name, value) in headers {
            match name {
                "impersonate-user" if !value.is_empty() => wanted.user = Some(value.to_owned()),
                "impersonate-uid" if !value.is_empty() => wanted.uid = Some(value.to_owned()),
                "impersonate-group" => wanted.groups.push(value.to_owned()),
                _ => {
                    if let Some(key) = name.strip_prefix(EXTRA_PREFIX) {
                        let key = percent_decode_str(key).decode_utf8_lossy().to_lowercase();
                        wanted.extra.entry(key).or_default().push(value.to_owned());
                    }
                }
            }
        }
        if wanted == Self::default() {
            return Ok(None);
        }
        if wanted.user.is_none() {
            return Err(WithoutUser { requested: wanted.references() });
        }
        Ok(Some(wanted))
    }

    /// The asked-for references as Go prints them.
    fn references(&self) -> String {
        let groups = self.groups.iter().map(|g| format!("{{Group  {g}   }}"));
        let extra = self.extra.iter().flat_map(|(key, values)| {
            values.iter().map(move |v| format!("{{UserExtra  {v}  authentication.k8s.io/v1  {key}}}"))
        });
        let uid = self.uid.iter().map(|u| format!("{{UID  {u}  authentication.k8s.io/v1  }}"));
        groups.chain(extra).chain(uid).collect::<Vec<_>>().join(" ")
    }

    /// The permissions needed, in the order upstream asks for them.
    fn needed(&self, requestor: &UserInfo) -> Vec<Attributes> {
        let ask = |group: &str, resource: &str, name: &str| Attributes {
            name: name.to_owned(),
            api_version: "v1".to_owned(),
            ..Attributes::resource(requestor, "impersonate", group, resource)
        };
        let mut needed = Vec::new();
        if let Some(user) = &self.user {
            needed.push(match service_account(user) {
                Some((namespace, name)) => {
                    Attributes { namespace: namespace.to_owned(), ..ask("", "serviceaccounts", name) }
                }
                None => ask("", "users", user),
            });
        }
        needed.extend(self.groups.iter().map(|group| ask("", "groups", group)));
        for (key, values) in &self.extra {
            needed.extend(values.iter().map(|value| Attributes {
                subresource: key.clone(),
                ..ask("authentication.k8s.io", "userextras", value)
            }));
        }
        needed.extend(self.uid.iter().map(|uid| ask("authentication.k8s.io", "uids", uid)));
        needed
    }

    /// Asks whether `requestor` may act so; answers the user acted as, or the refused request and the reason.
    pub fn authorize(
        &self,
        requestor: &UserInfo,
        authorizer: &dyn Authorizer,
    ) -> Result<UserInfo, (Box<Attributes>, String)> {
        for attributes in self.needed(requestor) {
            match authorizer.authorize(&attributes) {
                crate::Decision::Allow(_) => {}
                crate::Decision::Deny(reason) | crate::Decision::NoOpinion(reason) => {
                    return Err((Box::new(attributes), reason));
                }
            }
        }
        Ok(self.acted_as())
    }

    fn acted_as(&self) -> UserInfo {
        let username = self.user.clone().unwrap_or_default();
        let mut groups = self.groups.clone();
        if let Some((namespace, _)) = service_account(&username) {
            // Given groups stand alone; a service account brings its own only when none were asked for.
            if groups.is_empty() {
                groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
            }
        }
        let anonymous = username == UserInfo::ANONYMOUS;
        let added = if anonymous { "system:unauthenticated" } else { "system:authenticated" };
        if !groups.iter().any(|g| g == added || g == "system:unauthenticated") {
            groups.push(added.to_owned());
        }
        UserInfo { username, uid: self.uid.clone().unwrap_or_default(), groups, extra: self.extra.clone() }
    }
}

/// Namespace and name of a service account's user name.
pub fn service_account(username: &str) -> Option<(&str, &str)> {
    let (namespace, name) = username.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn reads_the_headers() {
        let headers = [
            ("impersonate-user", "a"),
            ("impersonate-group", "g"),
            ("impersonate-extra-acme.com%2fproject", "p"),
            ("accept", "x"),
        ];
        let wanted = Impersonation::from_headers(headers.into_iter()).unwrap().unwrap();
        assert_eq!(wanted.extra["acme.com/project"], ["p"]);
        assert_eq!(wanted.acted_as().groups, ["g", "system:authenticated"]);
        assert_eq!(Impersonation::from_headers([("accept", "x")].into_iter()), Ok(None));
    }

    #[test]
    fn a_user_must_be_named() {
        let error = Impersonation::from_headers([("impersonate-uid", "u")].into_iter()).unwrap_err();
        assert_eq!(error.to_string(), "requested [{UID  u  authentication.k8s.io/v1  }] without impersonating a user");
    }

    #[test]
    fn service_accounts_bring_their_groups() {
        let wanted = Impersonation { user: Some("system:serviceaccount:n:s".to_owned()), ..Impersonation::default() };
        assert_eq!(wanted.acted_as(), UserInfo::service_account("n", "s"));
        let needed = wanted.needed(&UserInfo::default());
        assert_eq!(
            (needed[0].resource.as_str(), needed[0].namespace.as_str(), needed[0].name.as_str()),
            ("serviceaccounts", "n", "s")
        );
    }
}
