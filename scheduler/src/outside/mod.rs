//! What programs outside of nvshare use of the GPUs, as NVIDIA's management library (NVML) tells it.
//!
//! A thread of its own asks, because a driver in trouble may take its time to answer. It has the library open only
//! while there are tenants: they hold the driver anyway, and without them nothing of ours keeps an administrator from
//! unloading it, resetting a GPU or dividing it.
mod nvml;
mod strangers;

pub use strangers::Strangers;

use nvshare_protocol::{Bytes, DeviceId};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use tokio::sync::mpsc;

/// Between two questions, and before the library is closed once the last tenant has left.
const INTERVAL: Duration = Duration::from_secs(2);

/// The processes on one device, or on one MIG instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    pub device: DeviceId,
    /// The host's pid of each, and what it uses, its contexts included.
    pub processes: Vec<(u32, Bytes)>,
}

/// The loop's end of the thread; dropped, the thread ends.
pub struct Watch {
    wanted: Option<Sender<bool>>,
    usages: mpsc::Receiver<Vec<Usage>>,
}

impl Watch {
    /// Starts the thread; without a `library`, nothing.
    #[must_use]
    pub fn start(library: Option<String>) -> Self {
        let (send, usages) = mpsc::channel(1);
        let (wanted, asked) = channel();
        let Some(library) = library else { return Self { wanted: None, usages } };
        let thread = std::thread::Builder::new().name("nvml".into());
        match thread.spawn(move || serve(&library, &asked, &send)) {
            Ok(_) => Self { wanted: Some(wanted), usages },
            Err(error) => {
                tracing::warn!("no thread to ask NVML: {error}");
                Self { wanted: None, usages }
            }
        }
    }

    /// Whether there are tenants.
    pub fn want(&self, wanted: bool) {
        // The thread may have ended; then there is nothing to be known.
        self.wanted.as_ref().map(|thread| thread.send(wanted));
    }

    /// The next answer.
    pub async fn next(&mut self) -> Vec<Usage> {
        match self.usages.recv().await {
            Some(usages) => usages,
            None => std::future::pending().await,
        }
    }
}

/// Until the loop's end is dropped.
fn serve(library: &str, wanted: &Receiver<bool>, send: &mpsc::Sender<Vec<Usage>>) {
    let mut told = false;
    loop {
        match wanted.recv() {
            Ok(true) => {}
            Ok(false) => continue,
            Err(_) => return,
        }
        match nvml::Library::open(library) {
            Ok(library) => {
                tracing::debug!("NVML is open");
                let stop = ask(&library, wanted, send);
                drop(library);
                tracing::debug!("NVML is closed");
                if let Stop::Ended = stop {
                    return;
                }
            }
            Err(error) if !told => {
                told = true;
                tracing::info!(
                    "what programs outside of nvshare use of the GPUs is not known: [memory] nvml = {library:?}: {error}"
                );
            }
            Err(_) => {}
        }
    }
}

enum Stop {
    /// The last tenant has left.
    Unwanted,
    Ended,
}

fn ask(library: &nvml::Library, wanted: &Receiver<bool>, send: &mpsc::Sender<Vec<Usage>>) -> Stop {
    let mut there = true;
    loop {
        if there {
            // A loop that is behind needs the latest answer only, and gets the next.
            let _ = send.try_send(library.usages());
        }
        match wanted.recv_timeout(INTERVAL) {
            Ok(now) => there = now,
            Err(RecvTimeoutError::Timeout) if there => {}
            Err(RecvTimeoutError::Timeout) => return Stop::Unwanted,
            Err(RecvTimeoutError::Disconnected) => return Stop::Ended,
        }
    }
}
