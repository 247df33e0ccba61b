//! Discovery documents name what the table of kinds has.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

#[test]
fn groups_come_in_upstreams_order() {
    let catalog = Catalog::of(&registry::Resources::built_in());
    let list = catalog.group_list();
    let names: Vec<&str> = list["groups"].as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap()).collect();
    assert_eq!(names[..2], ["apps", "events.k8s.io"]);
    assert!(catalog.group("nosuch").is_none());
}

#[test]
fn resources_carry_their_subresources() {
    let list = Catalog::of(&registry::Resources::built_in()).resource_list("", "v1").unwrap();
    let find = |name: &str| {
        list["resources"].as_array().unwrap().iter().find(|r| r["name"] == name).unwrap_or(&Value::Null).clone()
    };
    assert_eq!(find("pods")["shortNames"], json!(["po"]));
    assert_eq!(find("pods")["storageVersionHash"], "xPOwRZ+Yhw8=");
    assert_eq!(find("pods/eviction")["group"], "policy");
    assert_eq!(find("serviceaccounts/token")["kind"], "TokenRequest");
    assert_eq!(find("namespaces/finalize")["verbs"], json!(["update"]));
    assert_eq!(list.get("apiVersion"), None);
}

#[test]
fn the_aggregated_form_holds_the_same() {
    let catalog = Catalog::of(&registry::Resources::built_in());
    let document = aggregated(&catalog, false, "v2");
    let apps = document["items"].as_array().unwrap().iter().find(|i| i["metadata"]["name"] == "apps").unwrap();
    let resources = apps["versions"][0]["resources"].as_array().unwrap();
    let deployments = resources.iter().find(|r| r["resource"] == "deployments").unwrap();
    let subresources: Vec<&str> =
        deployments["subresources"].as_array().unwrap().iter().map(|s| s["subresource"].as_str().unwrap()).collect();
    assert_eq!(subresources, ["scale", "status"]);
}
