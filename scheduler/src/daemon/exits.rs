//! Waits for the end of processes.
use crate::process::{Key, Process};
use crate::tenants::inbound::Inbound;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The processes whose end is waited for. The loop hears of each end.
#[derive(Debug)]
pub struct ExitWatches {
    watches: HashMap<Key, ExitWatch>,
    queue: mpsc::Sender<Inbound>,
}

/// One task that waits; dropped, it waits no longer.
#[derive(Debug)]
struct ExitWatch(JoinHandle<()>);

impl Drop for ExitWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ExitWatches {
    pub fn new(queue: mpsc::Sender<Inbound>) -> Self {
        Self { watches: HashMap::new(), queue }
    }

    pub fn watch(&mut self, process: Option<&Arc<Process>>) {
        let Some(process) = process.filter(|process| !self.watches.contains_key(&process.key)) else {
            return;
        };
        let (key, process, queue) = (process.key, Arc::clone(process), self.queue.clone());
        let task = tokio::spawn(async move {
            process.ended().await;
            let _ = queue.send(Inbound::ProcessEnded(key)).await;
        });
        self.watches.insert(key, ExitWatch(task));
    }

    pub fn forget(&mut self, key: Key) {
        self.watches.remove(&key);
    }
}
