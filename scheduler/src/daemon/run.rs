//! Start, loop, end.
use super::members::Members;
use super::{Daemon, TraceFile};
use crate::clock::Clock;
use crate::control;
use crate::feed::Feed;
use crate::machine::{Machine, Seen};
use crate::metrics::listen::Listener;
use crate::metrics::server::{self, Scrape};
use crate::notify;
use crate::outside::{Strangers, Watch};
use crate::seldom::Seldom;
use crate::settings::Settings;
use crate::sockets::{Listening, RuntimeDir};
use crate::swap::{Budget, half_of_memory};
use crate::tenants::accept;
use crate::tenants::connection::Shared;
use crate::tenants::limits::Seats;
use crate::tenants::promises::Promises;
use crate::tenants::told::Told;
use crate::text;
use anyhow::{Context, Result};
use nvshare_core::event::Event;
use nvshare_core::{Core, print};
use nvshare_protocol::{Bytes, Nanos};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Messages of all tenants that may wait for the loop. Each connection has one at a time, and they
/// take turns.
const QUEUE: usize = 1024;
/// Operators' requests that may wait.
const ASKED: usize = 16;

/// After another scheduler, nobody is granted a GPU for so long: tenants that hold one since then look for a scheduler
/// ten times a second.
const GRACE: Nanos = Nanos::from_millis(1_000);

/// A daemon whose sockets are open.
pub struct Running {
    daemon: Daemon,
    told: mpsc::Receiver<Told>,
    asked: mpsc::Receiver<control::Asked>,
    scraped: mpsc::Receiver<Scrape>,
    stop: [Signal; 2],
    /// Dropped last: the sockets' files and the directory's lock.
    _files: (Box<dyn std::any::Any>, Box<dyn std::any::Any>, RuntimeDir),
}

/// Claims `dir`, opens the sockets and serves them. To be called within the runtime.
///
/// # Errors
/// Whatever stands in the way, with its path.
pub fn open(dir: &Path, trace: Option<&Path>, mut settings: Settings) -> Result<Running> {
    let trace = trace.map(TraceFile::open).transpose()?;
    let dir = RuntimeDir::claim(dir)?;
    if dir.inherited {
        settings.core.grace = GRACE;
    }
    let (tenants, tenants_file) = listener(dir.tenants(settings.tenant_mode)?)?;
    let (operators, operators_file) = listener(dir.operators(settings.control_group.as_deref())?)?;
    let stop = [
        signal(SignalKind::terminate()).context("SIGTERM cannot be awaited")?,
        signal(SignalKind::interrupt()).context("SIGINT cannot be awaited")?,
    ];
    let clock = Clock::start();
    let (queue, told) = mpsc::channel(QUEUE);
    let (ask, asked) = mpsc::channel(ASKED);
    let shared = Arc::new(Shared {
        clock,
        seldom: Seldom::new(clock),
        feed: Feed::new(clock),
        queue,
        hello_timeout: settings.hello_timeout,
        messages_per_second: settings.messages_per_second,
        tenants: AtomicU64::new(0),
    });
    tokio::spawn(accept::serve(tenants, Seats::new(settings.tenants), Arc::clone(&shared)));
    let (scrape, scraped) = mpsc::channel(ASKED);
    if let Some(address) = &settings.metrics {
        let listener = Listener::open(address, settings.control_group.as_deref())?;
        tokio::spawn(server::serve(listener, scrape));
    }
    tokio::spawn(control::serve(operators, ask, Arc::clone(&shared)));
    let core = Core::new(settings.core.clone());
    let members = Members::new(settings.core.record);
    let watch = Watch::start(settings.nvml.clone());
    let machine = Machine::new(settings.capacities.clone(), watch.asks());
    let swap = Budget::new(settings.swap.unwrap_or_else(|| Bytes(half_of_memory())));
    let promises = Promises::new(settings.memory);
    let mut daemon = Daemon {
        watch,
        strangers: Strangers::default(),
        clock,
        core,
        settings,
        members,
        machine,
        seen: Seen::default(),
        swap,
        promises,
        trace,
        exposition: None,
        shared,
    };
    daemon.begin();
    Ok(Running {
        daemon,
        told,
        asked,
        scraped,
        stop,
        _files: (Box::new(tenants_file), Box::new(operators_file), dir),
    })
}

fn listener(open: Listening) -> Result<(UnixListener, impl std::any::Any)> {
    let (listener, file) = open.into_parts();
    Ok((UnixListener::from_std(listener).context("a socket cannot be served")?, file))
}

impl Daemon {
    /// The trace begins with the rules.
    fn begin(&mut self) {
        let line = print::settings(Nanos::ZERO, self.core.settings()) + "\n";
        self.record(&line);
        if !self.settings.enabled {
            self.tell(Event::SetEnabled(false));
        }
    }
}

impl Running {
    /// Serves until SIGTERM or SIGINT.
    pub async fn serve(mut self) {
        let word = if self.daemon.core.enabled() { "on" } else { "off" };
        let picture = self.daemon.core.snapshot();
        let quantum = text::quantum(picture.quantum.as_secs_f64(), picture.auto);
        let line = format!("ready: the scheduler is {word}, quantum {quantum}");
        tracing::info!("{line}");
        notify::ready(&line);
        let mut watchdog = notify::interval().map(tokio::time::interval);
        let [terminate, interrupt] = &mut self.stop;
        let daemon = &mut self.daemon;
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                Some(told) = self.told.recv() => daemon.told(told),
                Some(asked) = self.asked.recv() => {
                    // An operator who has gone needs no answer.
                    let _ = asked.answer.send(daemon.answer(&asked.request));
                }
                Some(scrape) = self.scraped.recv() => {
                    // Its client may have gone.
                    let _ = scrape.send(daemon.exposition());
                }
                answer = daemon.watch.next() => daemon.answered(&answer),
                () = daemon.clock.until(daemon.core.next_deadline()) => daemon.tell(Event::Tick),
                () = tick(&mut watchdog) => notify::alive(),
            }
        }
        notify::stopping();
        tracing::info!("stopping: tenants go on without a scheduler until one is started");
    }
}

async fn tick(watchdog: &mut Option<tokio::time::Interval>) {
    match watchdog {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}
