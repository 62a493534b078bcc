//! Writes log lines to standard error in a thread of its own: a reader that has stopped reading, or a full disk, stops the
//! log and nothing else.
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How many lines may wait for a slow reader. More are counted and dropped.
const WAITING: usize = 4096;

/// Where log lines are put.
#[derive(Clone)]
struct Mailbox {
    lines: Arc<Mutex<Option<SyncSender<Vec<u8>>>>>,
    dropped: Arc<AtomicU64>,
}

/// Keeps the log's thread; dropped, it waits a moment for the last lines.
pub struct Log {
    mailbox: Mailbox,
    done: Receiver<()>,
}

/// Starts the log. `filter` in the syntax of `RUST_LOG`, which counts where `filter` is none; else `info`.
///
/// # Errors
/// A filter that cannot be understood, by its own words.
pub fn start(filter: Option<&str>) -> Result<Log, String> {
    let from_environment = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let text = filter.map(str::to_owned).or(from_environment).unwrap_or_else(|| "info".into());
    let filter = EnvFilter::try_new(&text).map_err(|error| {
        format!("--log or RUST_LOG = {text:?} is not allowed: {error} (allowed: error, warn, info, debug, trace, or TARGET=LEVEL, by commas)")
    })?;
    let (send, receive) = sync_channel(WAITING);
    let (ended, done) = sync_channel(1);
    let dropped = Arc::new(AtomicU64::new(0));
    let mailbox = Mailbox { lines: Arc::new(Mutex::new(Some(send))), dropped: Arc::clone(&dropped) };
    std::thread::Builder::new()
        .name("log".into())
        .spawn(move || {
            write_all(&receive, &dropped);
            drop(ended);
        })
        .map_err(|error| format!("the log's thread cannot be started: {error}"))?;
    // systemd's journal gives every line its time.
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(mailbox.clone())
        .with_ansi(false)
        // Lines are for people, who do not know our modules.
        .with_target(false)
        .log_internal_errors(false);
    if journal {
        builder.without_time().init()
    } else {
        builder.init()
    }
    Ok(Log { mailbox, done })
}

fn write_all(lines: &Receiver<Vec<u8>>, dropped: &AtomicU64) {
    for line in lines {
        let mut stderr = io::stderr().lock();
        let _ = stderr.write_all(&line);
        let missing = dropped.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let _ = writeln!(stderr, "{missing} log lines were dropped: standard error was not read");
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.mailbox.lines.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Ok(()) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)) =
            self.done.recv_timeout(Duration::from_millis(500));
    }
}

impl MakeWriter<'_> for Mailbox {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Write for Mailbox {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(lines) = &*self.lines.lock().unwrap_or_else(PoisonError::into_inner)
            && lines.try_send(line.to_vec()).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
