//! Our terminal, raw while a command has it, and its size.

use client::kube::api::TerminalSize;
use futures::{SinkExt, channel::mpsc};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

/// Standard input's terminal. Gets its modes back when this is dropped.
pub(super) struct Terminal {
    before: Termios,
}

impl Terminal {
    /// None when standard input is no terminal.
    pub(super) fn raw() -> Option<Self> {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Flush, &raw).ok()?;
        Some(Self { before })
    }

    /// Tells the size now and whenever it changes. Ends when nobody listens.
    pub(super) async fn send_sizes(&self, mut to: mpsc::Sender<TerminalSize>) {
        let Ok(mut changes) = signal(SignalKind::window_change()) else { return };
        loop {
            if let Ok(size) = tcgetwinsize(std::io::stdin()) {
                let size = TerminalSize { width: size.ws_col, height: size.ws_row };
                if to.send(size).await.is_err() {
                    return;
                }
            }
            changes.recv().await;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // There is nobody to tell of a terminal that is gone.
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.before).ok();
    }
}
