//! What a pod consists of, wherever it is written: in pods, pod templates and the workloads that make pods. One file
//! per noun.

mod alpha;
pub(crate) mod annotations;
pub(crate) mod defaults;
pub(crate) mod resources;
pub(crate) mod validate;
pub(crate) mod warnings;
