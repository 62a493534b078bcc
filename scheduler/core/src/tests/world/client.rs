//! A process with the library in it, as far as the scheduler can tell: its agent, which does one thing after the other,
//! and its application.
use super::memory::{Batch, Holding};
use crate::Priority;
use crate::event::TenantId;
use crate::model::memory_use::MemoryUse;
use nvshare_protocol::tenant::{Grant, Moves, Revoke, Share};
use nvshare_protocol::{LeaseId, Nanos};
use std::collections::VecDeque;

/// What an application does with its GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Always has work.
    Batch,
    /// A burst of work, again and again, from one beginning to the next or later.
    Bursts { work: Nanos, every: Nanos },
    /// Steps of work with a pause after each.
    Steps { work: Nanos, pause: Nanos },
    /// Bursts and pauses of random lengths up to these.
    Random { work: Nanos, pause: Nanos },
}

/// Whether the scheduler could hear it: the connection is lost otherwise.
pub type Heard = Result<(), ()>;

/// How a client is made, and made again when it has died.
#[derive(Clone, Debug)]
pub struct Spec {
    pub cards: Vec<usize>,
    /// On each card, bytes.
    pub memory: u64,
    pub immovable: u64,
    /// Of its memory on each card, what is never written. A client that has such memory tells how it moves.
    pub zero: u64,
    /// What its contexts take of each card, which nobody tells of, bytes.
    pub context: u64,
    pub weight: u32,
    pub priority: Priority,
    /// Its group, and the most of each card's time that it may hold, in per cent.
    pub time_share: Option<(u64, u32)>,
    pub load: Load,
    /// So much work can be submitted and unfinished when its gate shuts: a drain takes up to so long.
    pub unfinished: Nanos,
    /// Whether it now and then allocates and frees.
    pub grows: bool,
}

impl Spec {
    pub fn new(gib: u64, load: Load) -> Self {
        Self {
            cards: vec![0],
            memory: gib << 30,
            immovable: 0,
            zero: 0,
            context: 0,
            weight: 1,
            priority: Priority::Normal,
            time_share: None,
            load,
            unfinished: Nanos::from_millis(50),
            grows: false,
        }
    }

    pub fn batch(gib: u64) -> Self {
        Self::new(gib, Load::Batch)
    }
}

/// As in the library's agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Free,
    Idle,
    Waiting,
    Held,
    Short,
}

#[derive(Clone, Debug)]
pub enum Message {
    Welcome {
        enabled: bool,
    },
    Grant(Grant),
    Revoke(Revoke),
    Evict(Vec<Share>),
    Fetch(Vec<Share>),
    Contended(bool),
    Enabled(bool),
    /// The connection is closed.
    Lost,
}

/// Why memory moves.
#[derive(Clone, Debug)]
pub enum Why {
    Grant(Grant),
    /// Ahead of a grant, or beside it.
    Ahead,
    Revoke {
        lease: LeaseId,
        drain: Nanos,
    },
    Asked,
    /// To run without a scheduler.
    Freedom,
}

#[derive(Clone, Debug)]
pub struct Move {
    pub why: Why,
    pub started: Nanos,
    /// What is asked, by holding: a budget, or bytes to move out. The last is the one at work.
    pub asked: Vec<(usize, u64)>,
    pub done: Vec<u64>,
    pub batch: Option<Batch>,
    /// A report of it could not be sent.
    pub unheard: bool,
}

#[derive(Clone, Debug)]
pub enum Task {
    Drain { revoke: Option<Revoke>, started: Nanos, ends: bool },
    Move(Move),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The task's present step is over.
    Task,
    /// The burst's work is done.
    Work,
    /// The next burst comes.
    Burst,
    Idle,
    /// To look for a scheduler.
    Join,
    /// To ask again after a grant without room.
    Ask,
    Orphan,
    /// An allocation for which there is no room is given up.
    Room,
}
const TIMERS: usize = 8;

#[derive(Clone, Debug)]
pub struct Client {
    pub spec: Spec,
    pub alive: bool,
    pub connection: Option<TenantId>,
    pub welcomed: bool,
    pub said_holds: bool,
    pub lost_at: Option<Nanos>,
    pub phase: Phase,
    pub gate_open: bool,
    /// New memory may be placed.
    pub placing: bool,
    pub lease: LeaseId,
    pub contended: bool,
    pub told_idle: bool,
    pub holdings: Vec<Holding>,
    pub told: Vec<Option<MemoryUse>>,
    pub told_moves: Vec<Option<Moves>>,
    pub inbox: VecDeque<Message>,
    pub task: Option<Task>,
    /// Which setting of each timer counts.
    pub timers: [u64; TIMERS],
    /// Work that is left of the present burst; `MAX`: always.
    pub work: Nanos,
    pub came: Nanos,
    pub computes: Option<Nanos>,
    /// No new work comes.
    pub quits: bool,
    /// As by SIGSTOP: it does nothing at all.
    pub stopped: bool,
    pub figures: Figures,
}

/// What is measured of a client, over all its lives.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Time on the GPU.
    pub computed: Nanos,
    pub bursts: Vec<Nanos>,
    /// From when work first waits at the gate to its opening.
    pub wants_since: Option<Nanos>,
    pub longest_wait: Nanos,
    pub grants: u64,
    pub revokes: u64,
    pub told_contended: u64,
    pub evictions: u64,
    pub refused: u64,
    /// Bytes copied in since the last turn, what was lacking most meanwhile, and both summed up over the turns.
    pub brought: u64,
    pub lacked: u64,
    pub brought_in_all: u64,
    pub lacked_in_all: u64,
}

impl Client {
    pub fn new(spec: Spec) -> Self {
        let holdings: Vec<Holding> = spec.cards.iter().map(|card| Holding::new(*card)).collect();
        Self {
            told: vec![None; holdings.len()],
            told_moves: vec![None; holdings.len()],
            holdings,
            spec,
            alive: true,
            connection: None,
            welcomed: false,
            said_holds: false,
            lost_at: None,
            phase: Phase::Idle,
            gate_open: false,
            placing: false,
            lease: LeaseId(0),
            contended: false,
            told_idle: false,
            inbox: VecDeque::new(),
            task: None,
            timers: [0; TIMERS],
            work: Nanos::ZERO,
            came: Nanos::ZERO,
            computes: None,
            quits: false,
            stopped: false,
            figures: Figures::default(),
        }
    }

    pub fn has_work(&self) -> bool {
        self.work > Nanos::ZERO
    }

    /// Whether a call waits at the gate.
    pub fn is_wanting(&self) -> bool {
        self.has_work() && !self.gate_open
    }

    pub fn everything_there(&self) -> bool {
        self.holdings.iter().all(Holding::is_there)
    }

    pub fn lacks(&self) -> u64 {
        self.holdings.iter().map(|holding| holding.totals()).map(|m| m.allocated.0 - m.resident.0).sum()
    }

    /// How the gate's state and work that waits show in the figures; to be called after each step.
    pub fn note(&mut self, now: Nanos) {
        self.figures.lacked = self.figures.lacked.max(self.lacks());
        match (self.alive && self.is_wanting(), self.figures.wants_since) {
            (true, None) => self.figures.wants_since = Some(now),
            (false, Some(since)) => {
                self.figures.wants_since = None;
                self.figures.longest_wait = self.figures.longest_wait.max(now.saturating_sub(since));
            }
            _ => {}
        }
    }
}
