//! What one controller works with: its own identity to write with, and informers all controllers share to read.

use apimachinery::UserInfo;
use client::{Client, events::Recorder};
use controller_runtime::{Informers, Tasks};

/// One controller's tools.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) informers: Informers,
    pub(crate) recorder: Recorder,
}

/// Makes a [`Context`] per controller.
pub(crate) struct Contexts<'a> {
    pub(crate) clients: &'a dyn Fn(UserInfo) -> Client,
    pub(crate) informers: Informers,
    pub(crate) tasks: Tasks,
}

impl Contexts<'_> {
    /// The tools of the controller called `name`, whose service account is `account` and whose events say so.
    pub(crate) fn of(&self, account: &str) -> Context {
        let client = (self.clients)(UserInfo::service_account("kube-system", account));
        let (recorder, task) = Recorder::new(client.clone(), account, None);
        self.tasks.spawn(&format!("events of {account}"), task.run());
        Context { client, informers: self.informers.clone(), recorder }
    }
}
