//! The connection to the scheduler: whether there is one, and when to look for one again.
use crate::memory::Memory;
use crate::process::Process;
use crate::settings::GangChoice;
use crate::sys::random::random;
use crate::sys::{clock, log};
use crate::transport::{Connection, Incoming, Transport};
use nvshare_protocol::tenant::{Hello, ToScheduler};
use nvshare_protocol::wishes::NO_GANG;
use nvshare_protocol::{Bytes, InstanceId, VERSION};
use std::io;
use std::time::{Duration, Instant};

/// With the scheduler gone, calls wait at the shut gate so long before they run unmanaged.
pub const ORPHAN_BOUND: Duration = Duration::from_secs(10);
/// How often a scheduler that was there a moment ago is looked for, and one that was not.
const RETRY_SOON: Duration = Duration::from_millis(100);
const RETRY_LATER: Duration = Duration::from_secs(1);
/// After a refusal for another reason than admission, which waiting alone seldom changes.
const RETRY_REFUSED: Duration = Duration::from_secs(30);
/// Notices are compared with so many before them. What comes beyond is not shown.
const NOTICES: usize = 32;

/// The version of the scheduler's language that has swap space.
pub const SWAP_SINCE: u32 = 2;
/// The version that knows of refused memory.
pub const REFUSED_MEMORY_SINCE: u32 = 3;
/// Schedulers of this version want to know what did not have to be copied.
pub const MOVES_SINCE: u32 = 5;
/// The version in which a refusal of admission is a message of its own.
const NO_PLACE_SINCE: u32 = 4;

enum State {
    /// There is none.
    Down { retry_at: Instant },
    /// The scheduler has not answered our hello.
    Greeting(Connection),
    /// It has welcomed us.
    Up { connection: Connection, since: Instant },
}

/// Why the gate stays shut although there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The scheduler does not admit this process for now.
    NotAdmitted,
    /// The scheduler found a fault in what we said.
    Fault,
}

pub struct Link {
    transport: Transport,
    instance: InstanceId,
    state: State,
    /// The version of the language of the scheduler that welcomed us last.
    version: u32,
    /// The last hello reported that work of ours runs.
    reported_holding: bool,
    lost_at: Option<Instant>,
    /// The user was told that there is no scheduler.
    warned: bool,
    /// Why the scheduler that is there has refused us last.
    refusal: Option<Refusal>,
    /// What the scheduler had to say to the user.
    notices: Vec<String>,
}

impl Link {
    pub fn new(transport: Transport) -> Self {
        Self {
            transport,
            // Without random bytes two processes of one name are told apart by their connections all the same.
            instance: InstanceId(random().unwrap_or_default()),
            state: State::Down { retry_at: clock::instant() },
            version: 0,
            reported_holding: false,
            lost_at: None,
            warned: false,
            refusal: None,
            notices: Vec::new(),
        }
    }

    fn connection(&self) -> Option<&Connection> {
        match &self.state {
            State::Down { .. } => None,
            State::Greeting(connection) | State::Up { connection, .. } => Some(connection),
        }
    }

    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// When to connect, while there is no connection.
    pub fn retry_at(&self) -> Option<Instant> {
        if let State::Down { retry_at } = self.state { Some(retry_at) } else { None }
    }

    /// Whether the scheduler has been there for so long that its absence, should it go, is one of its own. One that
    /// comes and goes is as good as none.
    pub fn is_steady(&self, now: Instant) -> bool {
        matches!(self.state, State::Up { since, .. } if now.duration_since(since) >= ORPHAN_BOUND)
    }

    /// Whether the scheduler that is there supports what came with this version of the protocol.
    pub fn supports(&self, since: u32) -> bool {
        self.version >= since
    }

    pub fn reported_holding(&self) -> bool {
        self.reported_holding
    }

    // --- messages ---

    /// Without a connection it is not sent.
    ///
    /// # Errors
    /// The connection's.
    pub fn send(&self, message: &ToScheduler) -> io::Result<()> {
        log::debug!("says {message:?}");
        self.connection().map_or(Ok(()), |connection| connection.send(message))
    }

    pub fn has_messages(&self) -> bool {
        self.connection().is_some_and(Connection::has_messages)
    }

    /// All that has come.
    ///
    /// # Errors
    /// The connection's.
    pub fn receive(&self) -> io::Result<Vec<Incoming>> {
        self.connection().map_or(Ok(Vec::new()), Connection::receive)
    }

    // --- from one state to another ---

    /// Connects. Until that has worked, it is tried again after a while.
    ///
    /// # Errors
    /// Nobody is there. `WouldBlock`: somebody is, who has no time.
    pub fn connect(&mut self, now: Instant) -> io::Result<()> {
        let recent = self.lost_at.is_some_and(|lost| now.duration_since(lost) < ORPHAN_BOUND);
        self.state = State::Down { retry_at: now + if recent { RETRY_SOON } else { RETRY_LATER } };
        self.state = State::Greeting(self.transport.connect()?);
        Ok(())
    }

    /// Says hello. `holds`: whether work of the application runs.
    ///
    /// # Errors
    /// The connection's.
    pub fn send_hello(&mut self, process: &Process, holds: bool) -> io::Result<()> {
        self.reported_holding = holds;
        let hello = hello(process, self.instance, holds);
        self.connection().map_or(Ok(()), |connection| connection.send(&ToScheduler::Hello(hello)))
    }

    /// The scheduler has welcomed us, in this version of the language. Whether the user was told that there is none.
    pub fn welcomed(&mut self, version: u32) -> bool {
        let now = clock::instant();
        self.state = match std::mem::replace(&mut self.state, State::Down { retry_at: now }) {
            State::Greeting(connection) | State::Up { connection, .. } => {
                State::Up { connection, since: now }
            }
            down @ State::Down { .. } => down,
        };
        self.version = version;
        self.lost_at = None;
        self.refusal = None;
        std::mem::take(&mut self.warned)
    }

    /// The scheduler is gone.
    pub fn lose(&mut self, now: Instant) {
        self.lost_at = Some(now);
        // A scheduler that never welcomes us is not asked at every turn of the loop.
        let retry_at = if self.is_up() { now } else { now + RETRY_SOON };
        self.state = State::Down { retry_at };
    }

    /// The scheduler refuses us: hangs up.
    pub fn refuse(&mut self, refusal: Refusal) {
        if refusal == Refusal::Fault {
            self.lost_at = Some(clock::instant());
        }
        self.refusal = Some(refusal);
        self.hang_up(refusal);
    }

    /// Hangs up. The next attempt comes when such a refusal may have become something else.
    pub fn hang_up(&mut self, refusal: Refusal) {
        let wait = match refusal {
            Refusal::NotAdmitted => RETRY_LATER,
            Refusal::Fault => RETRY_REFUSED,
        };
        self.state = State::Down { retry_at: clock::instant() + wait };
    }

    // --- refusals ---

    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// Whether a refusal without a reason of admission is one of a fault. A scheduler of before version 4 refuses
    /// everything in the same words.
    pub fn distinguishes_faults(&self) -> bool {
        self.version >= NO_PLACE_SINCE || self.refusal.is_some()
    }

    /// The scheduler cannot be reached. One that is gone refuses nobody; one that is only busy still does. Whether a
    /// refusal has ended by that.
    pub fn unreached(&mut self, error: &io::Error) -> bool {
        let ended = self.refusal.is_some() && error.kind() != io::ErrorKind::WouldBlock;
        if ended {
            self.refusal = None;
            self.lost_at = Some(clock::instant());
        }
        ended
    }

    /// Whether there is no scheduler and there was none: one that is only busy is awaited as one that was lost.
    pub fn is_without_scheduler(&self, error: &io::Error) -> bool {
        self.lost_at.is_none() && error.kind() != io::ErrorKind::WouldBlock
    }

    // --- words for the user ---

    /// Says once that there is no scheduler.
    pub fn warn_of_absence(&mut self, process: &Process, error: &io::Error) {
        if !std::mem::replace(&mut self.warned, true) {
            log::warning!(
                "no scheduler at {} ({error}): running unmanaged until there is one",
                process.settings.socket.display()
            );
        }
    }

    /// What the scheduler has to say to the program's user: once.
    pub fn show_notice(&mut self, text: String) {
        if self.notices.len() < NOTICES && !self.notices.contains(&text) {
            log::warning!("the scheduler says: {text}");
            self.notices.push(text);
        }
    }
}

/// How long until a scheduler that found a fault is asked again.
pub fn retry_refused_seconds() -> u64 {
    RETRY_REFUSED.as_secs()
}

fn hello(process: &Process, instance: InstanceId, holds: bool) -> Hello {
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(|path| path.file_name()).unwrap_or_default();
    let Process { settings, memory, .. } = process;
    Hello {
        version: VERSION,
        instance,
        program: program.to_string_lossy().chars().take(16).collect(),
        library: env!("CARGO_PKG_VERSION").to_owned(),
        engine: memory.engine.name().to_owned(),
        holds,
        pid: std::process::id(),
        weight: settings.weight,
        limit: settings.limit,
        priority: settings.priority,
        time_share: settings.time_share,
        gang: match (&settings.gang, &settings.gang_choice) {
            (None, GangChoice::Off) => Some(NO_GANG.to_owned()),
            (gang, _) => gang.as_ref().map(|gang| gang.name.clone()),
        },
        gang_size: settings.gang.as_ref().and_then(|gang| gang.size),
        swap: swap_held(memory),
    }
}

fn swap_held(memory: &Memory) -> Option<Bytes> {
    Some(Bytes(memory.swap.capacity())).filter(|held| *held != Bytes::ZERO)
}
