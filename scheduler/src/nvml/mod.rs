//! What NVIDIA's management library (NVML) knows: the devices, how large they are, and which process uses how much of each.
//!
//! A thread of its own asks, because a driver in trouble may take long to answer. It has the library open only while there
//! are tenants. They hold the driver anyway; without them, an administrator can unload it, reset a GPU or divide it.
mod external_processes;
mod library;

pub use external_processes::ExternalProcesses;

use nvshare_protocol::{Bytes, DeviceId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use tokio::sync::mpsc;

/// Between two questions, and before the library is closed once the last tenant has left.
const INTERVAL: Duration = Duration::from_secs(2);
/// Between two questions at least, however often somebody asks.
const AT_LEAST: Duration = Duration::from_millis(50);
/// Before a library that could not be opened, or finds no driver any more, is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// One device, or one MIG instance. None: it does not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceReport {
    pub device: DeviceId,
    /// All of its memory, less what the driver reserves for itself.
    pub total: Option<Bytes>,
    /// What of that is in use, by anybody.
    pub used: Option<Bytes>,
    /// The host's pid of each process on it, and what that uses, its contexts included.
    pub processes: Option<Vec<(u32, Bytes)>>,
    /// How much of the last moments somebody computed on it, in per cent.
    pub utilization: Option<u32>,
    pub place: Option<Place>,
}

/// Where a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number in the order of the PCI bus; that of its GPU for a MIG instance.
    pub index: u32,
    /// As nvidia-smi writes it: `00000000:19:00.0`.
    pub bus_id: String,
}

/// All devices that can be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    pub devices: Vec<DeviceReport>,
    /// Every device has told its UUID.
    pub complete: bool,
    /// The last question ([`Monitor::ask`]) that was asked before the answer was collected.
    pub question: u64,
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Inventory(Inventory),
    /// The library cannot be opened.
    Unavailable,
}

/// The loop's end of the thread; dropped, the thread ends.
pub struct Monitor {
    wanted: Option<Sender<bool>>,
    questions: Arc<AtomicU64>,
    answers: mpsc::Receiver<Answer>,
}

impl Monitor {
    /// Starts the thread; without a `library`, nothing.
    #[must_use]
    pub fn start(library: Option<String>) -> Self {
        let (send, answers) = mpsc::channel(1);
        let (wanted, asked) = channel();
        let questions = Arc::new(AtomicU64::new(0));
        let Some(library) = library else { return Self { wanted: None, questions, answers } };
        let numbers = Arc::clone(&questions);
        let thread = std::thread::Builder::new().name("nvml".into());
        match thread.spawn(move || serve(&library, &asked, &numbers, &send)) {
            Ok(_) => Self { wanted: Some(wanted), questions, answers },
            Err(error) => {
                tracing::warn!("no thread to ask NVML: {error}");
                Self { wanted: None, questions, answers }
            }
        }
    }

    /// Whether anybody asks.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.wanted.is_some()
    }

    /// Whether there are tenants.
    pub fn set_wanted(&self, wanted: bool) {
        // The thread may have ended; then nothing is known.
        self.wanted.as_ref().map(|thread| thread.send(wanted));
    }

    /// Asks at once, and not only when the interval is over. Returns the question's number: its answer has this number or a
    /// higher one. None: there is no NVML to ask.
    #[must_use]
    pub fn ask(&self) -> Option<u64> {
        let question = self.questions.fetch_add(1, Ordering::AcqRel) + 1;
        self.wanted.as_ref()?.send(true).ok()?;
        Some(question)
    }

    /// The next answer.
    pub async fn next(&mut self) -> Answer {
        match self.answers.recv().await {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

/// Why nothing is asked any more.
enum Stop {
    /// The last tenant has left.
    Unwanted,
    /// The library finds no driver any more.
    Lost,
    /// The daemon ends.
    Ended,
}

/// Until the loop's end is dropped.
fn serve(library: &str, wanted: &Receiver<bool>, questions: &AtomicU64, send: &mpsc::Sender<Answer>) {
    let mut told = false;
    let mut there = false;
    loop {
        if !there {
            match wanted.recv() {
                Ok(now) => there = now,
                Err(_) => return,
            }
            continue;
        }
        let stop = match library::Library::open(library) {
            Ok(library) => {
                tracing::debug!("NVML is open");
                let stop = ask(&library, wanted, questions, send);
                drop(library);
                tracing::debug!("NVML is closed");
                stop
            }
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::info!(
                        "the GPUs are described by tenants alone, and what programs outside of nvshare use of them is \
                         not known: [memory] nvml = {library:?}: {error}"
                    );
                }
                // A loop that is behind hears it the next time.
                let _ = send.try_send(Answer::Unavailable);
                Stop::Lost
            }
        };
        there = match stop {
            Stop::Unwanted => false,
            Stop::Lost => match wanted.recv_timeout(RETRY) {
                Ok(now) => {
                    std::thread::sleep(AT_LEAST);
                    wanted.try_iter().last().unwrap_or(now)
                }
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => return,
            },
            Stop::Ended => return,
        };
    }
}

fn ask(
    library: &library::Library,
    wanted: &Receiver<bool>,
    questions: &AtomicU64,
    send: &mpsc::Sender<Answer>,
) -> Stop {
    let mut there = true;
    loop {
        let question = questions.load(Ordering::Acquire);
        if there {
            let Some(inventory) = library.inventory() else { return Stop::Lost };
            // A loop that is behind needs the latest answer only, and gets the next.
            let _ = send.try_send(Answer::Inventory(Inventory { question, ..inventory }));
        }
        match wanted.recv_timeout(INTERVAL) {
            Ok(now) => {
                // However many ask: this is a rate, and nothing is waited for.
                std::thread::sleep(AT_LEAST);
                there = wanted.try_iter().last().unwrap_or(now);
            }
            Err(RecvTimeoutError::Timeout) if there => {}
            Err(RecvTimeoutError::Timeout) => return Stop::Unwanted,
            Err(RecvTimeoutError::Disconnected) => return Stop::Ended,
        }
    }
}
