//! Starts the daemon, runs the loop, ends.
use super::accounting::Exposition;
use super::audit::Audit;
use super::exits::ExitWatches;
use super::gangs::Gangs;
use super::held_requests::HeldRequests;
use super::join_leave::CLAIMS;
use super::liveness::PollSchedule;
use super::reactor::Daemon;
use super::rules::ContainerOverrides;
use super::tenant_table::Members;
use super::trace_file::TraceFile;
use super::usage::Meter;
use super::{metering, queries};
use crate::clock::Clock;
use crate::devices::served::Served;
use crate::devices::{Devices, ProcessUsage};
use crate::metrics::listen::Listener;
use crate::metrics::server::{self, Scrape};
use crate::nvml::{ExternalProcesses, Monitor};
use crate::operator_api::{self, Access};
use crate::rate_limited_log::RateLimitedLog;
use crate::settings::{DaemonSettings, Source};
use crate::sockets::{Listening, RuntimeDir, SocketFile};
use crate::swap::half_of_memory;
use crate::swap::ledger::Ledger;
use crate::swap::ledger_file::{self, Balances, LedgerFile};
use crate::swap::pages::{PageAllocator, PageEvent};
use crate::systemd;
use crate::tenants::accept;
use crate::tenants::inbound::Inbound;
use crate::tenants::permits::Permits;
use crate::tenants::reservations::Reservations;
use crate::tenants::shared::Shared;
use crate::text;
use crate::usage::file::Usage;
use anyhow::{Context, Result};
use nvshare_core::Core;
use nvshare_core::event::Event;
use nvshare_protocol::{Bytes, Nanos};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Messages of all tenants that may wait for the loop. Each connection has one at a time, and they
/// take turns.
const QUEUE: usize = 1024;
/// Operators' requests that may wait.
const ASKED: usize = 16;

/// How long nobody is granted a GPU after another scheduler. Tenants that have held one since then look for a scheduler ten
/// times a second.
const GRACE: Nanos = Nanos::from_millis(1_000);

/// What the daemon has in the file system beside its runtime directory.
#[derive(Debug, Default)]
pub struct Places {
    /// Where what outlasts a restart is kept; none: nowhere.
    pub state: Option<PathBuf>,
    /// The file in which all daemons of the host say which GPUs they serve.
    pub gpus_lock: Option<PathBuf>,
}

/// A daemon whose sockets are open.
pub struct Running {
    daemon: Daemon,
    inbound: mpsc::Receiver<Inbound>,
    queries: mpsc::Receiver<operator_api::OperatorQuery>,
    scraped: mpsc::Receiver<Scrape>,
    stop: [Signal; 2],
    /// SIGHUP.
    hangup: Signal,
    _files: Files,
}

/// What stays in the file system as long as the daemon runs; fields are dropped in their order.
struct Files {
    _tenants_socket: SocketFile,
    _operators_socket: SocketFile,
    _readers_socket: Option<SocketFile>,
    _users_socket: SocketFile,
    /// Last: it holds the lock under which the sockets' files are removed.
    _directory: RuntimeDir,
}

/// Claims `path`, opens the sockets and serves them. To be called within the runtime.
///
/// # Errors
/// Whatever stands in the way, with its path.
pub fn open(path: &Path, trace: Option<&Path>, places: Places, source: Source) -> Result<Running> {
    let mut settings = source()?;
    let trace = trace.map(TraceFile::open).transpose()?;
    let dir = RuntimeDir::claim(path)?;
    if dir.inherited {
        settings.core.grace = GRACE;
    }
    let (tenants, tenants_file) = listener(dir.tenants(settings.tenant_mode)?)?;
    let (operators, operators_file) = listener(dir.operators(settings.control_group.as_deref())?)?;
    let readers = dir.readers(settings.reader_group.as_deref())?.map(listener).transpose()?;
    let (users, users_file) = listener(dir.users()?)?;
    let hangup = signal(SignalKind::hangup()).context("SIGHUP cannot be awaited")?;
    let stop = [
        signal(SignalKind::terminate()).context("SIGTERM cannot be awaited")?,
        signal(SignalKind::interrupt()).context("SIGINT cannot be awaited")?,
    ];
    let clock = Clock::start();
    let (queue, inbound) = mpsc::channel(QUEUE);
    let (ask, queries) = mpsc::channel(ASKED);
    let shared = Arc::new(Shared::new(clock, Arc::new(RateLimitedLog::new(clock)), queue, &settings));
    let permits = Permits::new(settings.tenants);
    tokio::spawn(accept::serve(tenants, permits.clone(), Arc::clone(&shared)));
    let (scrape, scraped) = mpsc::channel(ASKED);
    if let Some(address) = &settings.metrics {
        let listener = Listener::open(address, settings.control_group.as_deref())?;
        tokio::spawn(server::serve(listener, scrape));
    }
    let (readers, readers_file) = readers.unzip();
    if let Some(readers) = readers {
        tokio::spawn(operator_api::serve(readers, Access::Readers, ask.clone(), Arc::clone(&shared)));
    }
    tokio::spawn(operator_api::serve(users, Access::Users, ask.clone(), Arc::clone(&shared)));
    tokio::spawn(operator_api::serve(operators, Access::Operators, ask, Arc::clone(&shared)));
    let core = Core::new(settings.core.clone());
    let members = Members::new(settings.core.record, ledger_file::boot());
    let nvml = Monitor::start(settings.nvml.clone());
    let devices = Devices::new(settings.capacities.clone(), nvml.asks());
    let handed = ledger_file::read(path).unwrap_or_else(|error| {
        tracing::warn!("{}: the ledger of swap space is not used: {error}", path.display());
        Some(Balances::new())
    });
    let claims_until = (dir.inherited && handed.is_none()).then_some(CLAIMS);
    let ledger = ledger(&settings, path, &shared)?;
    let usage = Usage::keep(places.state, settings.usage_days);
    let usage = usage.context("no thread can be started for what tenants use")?;
    let reservations = Reservations::new(settings.memory);
    let mut daemon = Daemon {
        nvml,
        polls: PollSchedule::default(),
        external_processes: ExternalProcesses::default(),
        clock,
        core,
        settings,
        members,
        devices,
        served: places.gpus_lock.as_deref().map(Served::say_in).unwrap_or_default(),
        process_usage: ProcessUsage::default(),
        held_requests: HeldRequests::default(),
        ledger,
        claims_until,
        exits: ExitWatches::new(shared.queue.clone()),
        reservations,
        audit: Audit::new(Arc::clone(&shared), trace),
        exposition: Exposition::default(),
        meter: Meter::new(usage),
        shared,
        permits,
        container_overrides: ContainerOverrides::default(),
        gangs: Gangs::default(),
        last_family: 0,
        stalled: BTreeMap::new(),
        source,
    };
    daemon.begin(handed.unwrap_or_default());
    Ok(Running {
        daemon,
        inbound,
        queries,
        scraped,
        stop,
        hangup,
        _files: Files {
            _tenants_socket: tenants_file,
            _operators_socket: operators_file,
            _readers_socket: readers_file,
            _users_socket: users_file,
            _directory: dir,
        },
    })
}

fn listener(open: Listening) -> Result<(UnixListener, SocketFile)> {
    let Listening { listener, file } = open;
    Ok((UnixListener::from_std(listener).context("a socket cannot be served")?, file))
}

fn ledger(settings: &DaemonSettings, path: &Path, shared: &Arc<Shared>) -> Result<Ledger> {
    let (queue, log) = (shared.queue.clone(), Arc::clone(&shared.log));
    let pages = PageAllocator::start(move |said| match said {
        // The loop may be over.
        PageEvent::Freed(freed) => drop(queue.blocking_send(Inbound::SwapFreed(freed))),
        PageEvent::Failed(why) => log.warn(&why),
    });
    let pages = pages.context("no thread can be started for swap space")?;
    let record = LedgerFile::keep(path).context("no thread can be started for the ledger of swap space")?;
    let total = settings.swap.unwrap_or_else(|| Bytes(half_of_memory()));
    Ok(Ledger::new(total, settings.swap_limits, pages, Some(record)))
}

impl Running {
    /// Serves until SIGTERM or SIGINT.
    pub async fn serve(mut self) {
        let word = if self.daemon.core.enabled() { "on" } else { "off" };
        let picture = self.daemon.core.snapshot();
        let quantum = text::quantum(picture.quantum.as_secs_f64(), picture.auto);
        let line = format!("ready: the scheduler is {word}, quantum {quantum}");
        tracing::info!("{line}");
        systemd::ready(&line);
        let mut watchdog = systemd::interval().map(tokio::time::interval);
        let [terminate, interrupt] = &mut self.stop;
        let hangup = &mut self.hangup;
        let daemon = &mut self.daemon;
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                Some(()) = hangup.recv() => drop(queries::reload(daemon, "SIGHUP")),
                Some(inbound) = self.inbound.recv() => daemon.on_inbound(inbound),
                Some(query) = self.queries.recv() => {
                    queries::answer(daemon, query);
                }
                Some(scrape) = self.scraped.recv() => {
                    // Its client may have gone.
                    let _ = scrape.send(daemon.exposition());
                }
                answer = daemon.nvml.next() => daemon.on_nvml_answer(&answer),
                () = daemon.clock.until(daemon.core.next_deadline()) => daemon.apply(Event::Tick),
                () = daemon.clock.until(daemon.polls.next()) => daemon.poll_awaited(),
                () = daemon.clock.until(daemon.meter.due(daemon.members.is_empty())) => metering::meter_all(daemon),
                () = daemon.clock.until(daemon.held_requests.until()) => daemon.expire_held_requests(),
                () = tick(&mut watchdog) => systemd::alive(),
            }
        }
        systemd::stopping();
        metering::meter_all(daemon);
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
