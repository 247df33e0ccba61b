//! Since when each image is there, and when it was last seen in use.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use cri::v1::Image;
use tokio::time::Instant;

struct Record {
    size: u64,
    pinned: bool,
    used: bool,
    /// None: before this kubelet looked first.
    detected: Option<Instant>,
    last_used: Option<Instant>,
}

/// Bounded by the images there are.
#[derive(Default)]
pub(super) struct Table {
    records: HashMap<String, Record>,
}

impl Table {
    /// Makes `images` the whole of what is there. `first` says that nobody looked before.
    pub(super) fn note(&mut self, images: &[Image], used: &HashSet<String>, now: Instant, first: bool) {
        for image in images {
            let names = [std::slice::from_ref(&image.id), &image.repo_tags, &image.repo_digests];
            let in_use = names.into_iter().flatten().any(|name| used.contains(name));
            let record = self.records.entry(image.id.clone()).or_insert_with(|| Record {
                size: image.size,
                pinned: image.pinned,
                used: false,
                detected: (!first).then_some(now),
                last_used: None,
            });
            (record.size, record.pinned, record.used) = (image.size, image.pinned, in_use);
            if in_use {
                record.last_used = Some(now);
            }
        }
        self.records.retain(|id, _| images.iter().any(|image| image.id == *id));
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.records.remove(id);
    }

    /// What may be removed, the least recently used first, with sizes.
    pub(super) fn candidates(&self, now: Instant, min_age: Duration) -> Vec<(String, u64)> {
        let old = |r: &Record| r.detected.is_none_or(|at| now.duration_since(at) >= min_age);
        let mut found: Vec<(&String, &Record)> =
            self.records.iter().filter(|(_, r)| !r.pinned && !r.used && old(r)).collect();
        found.sort_by_key(|(id, r)| (r.last_used, r.detected, *id));
        found.into_iter().map(|(id, r)| (id.clone(), r.size)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: &str, pinned: bool) -> Image {
        Image { id: id.to_owned(), size: 7, pinned, repo_tags: vec![format!("tag-{id}")], ..Image::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_first() {
        let age = Duration::from_secs(120);
        let mut table = Table::default();
        let used = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<HashSet<_>>();
        let ids = |table: &Table| {
            let found = table.candidates(Instant::now(), age);
            found.into_iter().map(|(id, _)| id).collect::<Vec<_>>().join(" ")
        };
        let mut images: Vec<Image> = ["a", "b", "c"].map(|id| image(id, false)).into();
        images.push(image("p", true));
        table.note(&images, &used(&["tag-a", "b"]), Instant::now(), true);
        assert_eq!(ids(&table), "c", "what was there at the start needs no age");
        tokio::time::advance(Duration::from_secs(1)).await;
        images.push(image("new", false));
        table.note(&images, &used(&["b"]), Instant::now(), false);
        assert_eq!(ids(&table), "c a");
        tokio::time::advance(age).await;
        table.note(&images, &used(&[]), Instant::now(), false);
        assert_eq!(ids(&table), "c new a b", "never used before used, older before younger");
        images.remove(2);
        table.note(&images, &used(&[]), Instant::now(), false);
        assert_eq!(ids(&table), "new a b");
    }
}
