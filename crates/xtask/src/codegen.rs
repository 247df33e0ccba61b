//! Generators of committed code. Each names its source, writes one file, and gives the same output for the same input.

mod cri;
mod descriptions;
mod etcd;
mod protobuf;
mod schema;

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Generator {
    /// The messages of CRI v1, from `proto/v1.proto` of the crate k8s-cri 0.11.
    Cri {
        #[arg(long)]
        proto: PathBuf,
        #[arg(long, default_value = "crates/cri/src/v1.rs")]
        output: PathBuf,
    },
    /// The descriptions of the schema table, from the same `_definitions.json`.
    Descriptions {
        #[arg(long)]
        definitions: PathBuf,
        #[arg(long, default_value = "crates/schema/src/builtin/v1_37_descriptions.gz")]
        output: PathBuf,
    },
    /// The messages of etcd's protocol, from our own list of what is needed of it.
    Etcd {
        #[arg(long, default_value = "crates/store/proto/etcd.proto")]
        proto: PathBuf,
        #[arg(long, default_value = "crates/store/src/etcd/messages.rs")]
        output: PathBuf,
    },
    /// The field numbers of messages, from a folder with those of the Go modules k8s.io/api (as `api`) and
    /// k8s.io/apimachinery (as `apimachinery`), v0.36.3.
    Protobuf {
        #[arg(long)]
        protos: PathBuf,
        #[arg(long, default_value = "crates/schema/src/protobuf/v1_36.txt")]
        output: PathBuf,
    },
    /// The schema table, from `_definitions.json` of the Python package kubernetes-validate.
    Schema {
        #[arg(long)]
        definitions: PathBuf,
        #[arg(long, default_value = "crates/schema/src/builtin/v1_37.txt")]
        output: PathBuf,
    },
}

impl Generator {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Cri { proto, output } => cri::run(&proto, &output),
            Self::Descriptions { definitions, output } => descriptions::run(&definitions, &output),
            Self::Etcd { proto, output } => etcd::run(&proto, &output),
            Self::Protobuf { protos, output } => protobuf::run(&protos, &output),
            Self::Schema { definitions, output } => schema::run(&definitions, &output),
        }
    }
}
