//! One history each: a backend, clients, and what goes wrong.

use testkit::Dice;

use crate::traffic::Life;

pub mod api_server;
pub mod etcd;
pub mod kill;
pub mod memory;

/// How much happens in one life.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub clients: u64,
    pub watchers: u64,
    pub calls: u64,
}

impl Load {
    /// A load that differs from life to life.
    pub fn some(dice: &mut Dice) -> Load {
        Load { clients: 2 + dice.roll(5), watchers: 1 + dice.roll(4), calls: 20 + dice.roll(120) }
    }
}

/// The tasks of one life.
pub struct Tasks {
    pub clients: tokio::task::JoinSet<()>,
    pub watches: tokio::task::JoinSet<()>,
}

impl Tasks {
    pub async fn start(life: &Life, load: Load, dice: &mut Dice) -> Tasks {
        let (mut clients, mut watches) = (tokio::task::JoinSet::new(), tokio::task::JoinSet::new());
        // Before anything can happen.
        if let Some((watch, log)) = life.open_recorder().await {
            watches.spawn(life.clone().recorder(watch, log));
        }
        for number in 0..load.watchers {
            watches.spawn(life.clone().watcher(dice.fork(number)));
        }
        for number in 0..load.clients {
            clients.spawn(life.clone().client(dice.fork(1000 + number), load.calls));
        }
        Tasks { clients, watches }
    }
}

/// Waits for all; a task that panicked fails the run.
pub async fn all(mut tasks: tokio::task::JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}
