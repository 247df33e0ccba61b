//! What Services hold that no two may: addresses of the cluster and ports of the nodes.

use apimachinery::{Object, Status};
use store::Snapshot;

use crate::Config;

pub(crate) struct Services {}

/// Set aside for a write; given back unless the write is done.
#[derive(Default)]
pub(crate) struct Reservation {}

impl Reservation {
    pub(crate) fn keep(self) {}
}

impl Services {
    pub(crate) fn new(_config: &Config, _snapshot: &Snapshot) -> Self {
        Self {}
    }

    pub(crate) fn reserve(
        &self,
        _dry_run: bool,
        _new: &mut Object,
        _old: Option<&Object>,
    ) -> Result<Reservation, Status> {
        Ok(Reservation::default())
    }

    pub(crate) fn release(&self, _object: &Object) {}
}
