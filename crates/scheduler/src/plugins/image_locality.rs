//! Nodes that have the pod's images are better, the more bytes the better; an image that few nodes have counts less,
//! lest all its pods crowd there.

use std::sync::Arc;

use super::{ClusterEvent, MAX_SCORE, Plugin, Prepared};
use crate::{cache::Nodes, node_info::NodeInfo, pod_info::PodInfo};

const MIB: i64 = 1024 * 1024;
/// Fewer bytes than this are soon pulled.
const MIN_BYTES: i64 = 23 * MIB;
/// More bytes than this a container make no difference.
const MAX_BYTES_PER_CONTAINER: i64 = 1000 * MIB;

pub(crate) struct ImageLocality;

struct Wanted {
    /// With the share of nodes that have it.
    images: Vec<(String, f64)>,
}

impl Plugin for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn weight(&self) -> i64 {
        1
    }

    fn wakes(&self, _event: ClusterEvent) -> bool {
        false
    }

    fn prepare(&self, pod: &Arc<PodInfo>, nodes: &Arc<Nodes>) -> Option<Box<dyn Prepared>> {
        let total = nodes.len().max(1) as f64;
        let with_share = |image: &String| {
            let image = normalized(image);
            let having = nodes.values().filter(|n| n.images.contains_key(&image)).count();
            (image, having as f64 / total)
        };
        Some(Box::new(Wanted { images: pod.images.iter().map(with_share).collect() }))
    }
}

impl Prepared for Wanted {
    fn score(&self, node: &NodeInfo) -> Option<i64> {
        let bytes: i64 = self
            .images
            .iter()
            .filter_map(|(image, share)| Some((*node.images.get(image)? as f64 * share) as i64))
            .sum();
        let max = MAX_BYTES_PER_CONTAINER * self.images.len().max(1) as i64;
        Some(MAX_SCORE * (bytes.clamp(MIN_BYTES, max) - MIN_BYTES) / (max - MIN_BYTES))
    }
}

/// Nodes list images with a tag.
fn normalized(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or_default();
    if name.contains(':') || name.contains('@') { image.to_owned() } else { format!("{image}:latest") }
}
