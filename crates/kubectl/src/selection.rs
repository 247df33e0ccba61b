//! From what was typed behind a verb to resources and names: `pods`, `pod web`, `pod/web`, `pods,svc`, `all`.

use crate::{
    discovery::Resource,
    failure::{Result, refuse},
    server::Server,
};

/// A resource, and one of its objects if a name was given.
#[derive(Clone, Debug)]
pub(crate) struct Selected {
    pub(crate) resource: Resource,
    pub(crate) name: Option<String>,
}

/// Reads `TYPE[,TYPE] [NAME…]` or `TYPE/NAME…`.
pub(crate) async fn select(server: &Server, words: &[String]) -> Result<Vec<Selected>> {
    let discovery = server.discovery().await?;
    let with_slash = words.iter().filter(|w| w.contains('/')).count();
    if with_slash > 0 && with_slash < words.len() {
        return refuse(
            "there is no need to specify a resource type as a separate argument when passing arguments in resource/name \
             form (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource resource/<resource_name>'",
        );
    }
    let mut selected = Vec::new();
    if with_slash > 0 {
        for word in words {
            match word.split('/').collect::<Vec<_>>().as_slice() {
                [kind, name] if !kind.is_empty() && !name.is_empty() && !kind.contains(',') => {
                    let resource = discovery.find(kind)?.clone();
                    selected.push(Selected { resource, name: Some((*name).to_owned()) });
                }
                _ => return refuse("arguments in resource/name form must have a single resource and name"),
            }
        }
        return Ok(selected);
    }
    let Some((types, names)) = words.split_first() else { return Ok(selected) };
    for typed in types.split(',').filter(|t| !t.is_empty()) {
        let category = discovery.category(typed);
        let resources = if category.is_empty() {
            vec![discovery.find(typed)?.clone()]
        } else {
            category.into_iter().cloned().collect()
        };
        for resource in resources {
            if names.is_empty() {
                selected.push(Selected { resource, name: None });
            } else {
                let one = |name: &String| Selected { resource: resource.clone(), name: Some(name.clone()) };
                selected.extend(names.iter().map(one));
            }
        }
    }
    Ok(selected)
}

/// Whether objects of more than one resource are meant.
pub(crate) fn has_several_types(selected: &[Selected]) -> bool {
    selected.windows(2).any(|pair| pair[0].resource != pair[1].resource)
}
