//! The tenants, and the names of those that have left.
use super::content::Content;
use super::engine::Engine;
use super::job_shares::JobMember;
use super::liveness::Liveness;
use super::reports::Reports;
use super::rules::{Overrides, TurnRules};
use super::usage::Counted;
use crate::identity::{Identity, Owner};
use crate::metrics::counts::Moved;
use crate::process::{Family, Key};
use crate::tenants::inbound::Connected;
use crate::tenants::mailbox::{Outbound, Outgoing};
use crate::tenants::permits::Permit;
use crate::tenants::reservations::Reservation;
use crate::text;
use nvshare_core::event::TenantId;
use nvshare_protocol::tenant::Hello;
use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// The first version of the protocol with [`nvshare_protocol::tenant::ToTenant::Notice`].
pub const NOTICES_SINCE: u32 = 4;

/// One tenant.
pub struct Member {
    /// What it is called beyond this daemon's life: its pid, and what tells its process from others with that pid.
    pub session: String,
    pub who: Identity,
    pub hello: Hello,
    /// None: its connection is gone, and its process lives.
    outbound: Option<Outbound>,
    /// Counts against the limits until its process has ended.
    _permit: Permit,
    /// The devices that it has named and that are not refused.
    pub devices: BTreeMap<DeviceId, LoggedMissing>,
    pub moved: Moved,
    /// How its memory moves, where it tells.
    pub content: BTreeMap<DeviceId, Content>,
    /// When it joined.
    pub since: Nanos,
    /// What of its usage is counted.
    pub counted: Counted,
    pub reservation: Reservation,
    /// The largest limit that it has had: what it has allocated under it stays; none: there was none once.
    most_allowed: Option<Bytes>,
    /// What operators have set for it.
    pub overrides: Overrides,
    /// What holds for it as a process of a Slurm job.
    pub job: Option<JobMember>,
    /// What the core was told of its turns.
    pub turn_rules: TurnRules,
    pub reports: Reports,
    /// The limits for which it was refused swap space: each is logged once.
    pub swap_refusals: BTreeSet<&'static str>,
    /// The grant whose fetch or release has not been logged: each is logged once.
    lease: Option<(LeaseId, Logged)>,
    /// It has held its lease since before this daemon.
    resumed: bool,
    /// What moves its memory, by its library's last word.
    pub engine: Option<Engine>,
    /// The core knows that it swaps.
    swaps: bool,
    /// It asks for its devices, and not all of them are known to the core: the core hears of it when they are.
    pub waits_for_devices: bool,
    pub liveness: Liveness,
    /// The processes of its gang take turns with each other, because they do not fit together.
    pub has_parted: bool,
    /// Its user says that it is of no job of several processes, whatever can be found out.
    pub declines_gangs: bool,
    /// The family that it is of; none: the operator allows no gangs, or it has one or wants none.
    pub kinship: Option<Kinship>,
    /// It could not end its work when it was last asked to give its devices back.
    pub could_not_drain: bool,
}

/// What is known of a tenant's family since it joined.
#[derive(Clone, Copy, Debug)]
pub struct Kinship {
    /// The core's number for the family.
    pub number: u64,
    pub lineage: Option<Family>,
}

/// How much memory the log has last said to be missing on a device.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoggedMissing(Bytes);

impl LoggedMissing {
    /// Whether the log has to say how much is missing now: it is twice or half of what it has last said.
    pub fn takes(&mut self, bytes: Bytes) -> bool {
        let Self(logged) = *self;
        let news = logged == Bytes::ZERO || bytes.0 / 2 >= logged.0 || bytes.0 <= logged.0 / 2;
        if news {
            self.0 = bytes;
        }
        news
    }
}

/// What of a grant is in the log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Logged {
    Grant,
    Fetch,
}

impl Member {
    /// As logs and traces name it: `python3, pid 4711, container 4f1d3c0b5a69`.
    pub fn label(&self) -> String {
        let Self { who, hello, .. } = self;
        text::label(&hello.program, who.pid, None, who.container_label().as_deref())
    }

    fn known(&self) -> Known {
        Known { pid: self.who.pid, label: self.label(), gang: self.gang_name().map(str::to_owned) }
    }

    /// The gang that it gets its devices with.
    pub fn gang_name(&self) -> Option<&str> {
        self.hello.gang.as_deref().filter(|_| !self.has_parted)
    }

    /// The gang that it has come to, and whose it is: only tenants of one user or container can be of one.
    pub fn gang(&self) -> Option<(Owner, &str)> {
        Some((self.who.charged_to(), self.gang_name()?))
    }

    /// Whether this user of the host may see it as their own.
    pub fn belongs_to(&self, user: u32) -> bool {
        self.who.uid == user || self.who.user == user
    }

    /// Another limit from now on.
    pub fn reserve(&mut self, reservation: Reservation) {
        self.most_allowed = self.most_allowed.zip(reservation.limit).map(|(most, limit)| most.max(limit));
        self.reservation = reservation;
    }

    /// More than this it cannot have allocated on a device.
    pub fn most_allowed(&self) -> Option<Bytes> {
        self.most_allowed
    }

    /// What it may allocate by its own wish and its job's.
    pub fn wish(&self) -> Option<Bytes> {
        self.hello.limit.into_iter().chain(self.job.and_then(|job| job.share)).min()
    }

    /// Where its limit comes from.
    pub fn limit_from(&self) -> Option<&'static str> {
        match (self.reservation.limit, self.reservation.by) {
            (None, _) => None,
            (Some(_), Some((setting, _))) => Some(setting),
            (Some(_), None) if self.overrides.limit.is_some() => Some("operator"),
            (Some(_), None) if self.hello.limit != self.reservation.limit => Some("slurm"),
            (Some(_), None) => Some("wish"),
        }
    }

    /// Whether its connection is open.
    pub fn is_connected(&self) -> bool {
        self.outbound.is_some()
    }

    /// Closes its connection, once what was sent is written.
    pub fn disconnect(&mut self) {
        self.outbound = None;
    }

    /// Sends a message, if the connection is open.
    pub fn send(&self, out: impl Into<Outgoing>) {
        if let Some(outbound) = &self.outbound {
            outbound.put(out);
        }
    }

    /// Whether its gate may be open.
    pub fn holds(&self) -> bool {
        self.resumed || self.lease.is_some()
    }

    /// Whether it is now known to use the swap engine: a library that may choose uses it as soon as it has swap space.
    pub fn begins_to_swap(&mut self, has: Bytes) -> bool {
        let swaps = matches!(self.hello.engine.as_str(), "swap" | "auto") && has > Bytes::ZERO;
        swaps && !std::mem::replace(&mut self.swaps, true)
    }

    /// What moves its memory, as `status` says it. A library of before this word is judged by what it has.
    pub fn engine_in_use(&self, allocated: u64) -> &'static str {
        let by_its_name = || match self.hello.engine.as_str() {
            _ if allocated == 0 => None,
            "plain" => Some(Engine::Plain),
            "managed" => Some(Engine::Managed),
            _ if self.swaps => Some(Engine::Swap),
            _ => Some(Engine::Managed),
        };
        self.engine.or_else(by_its_name).map_or("undecided", Engine::as_str)
    }

    pub fn granted(&mut self, lease: LeaseId) {
        self.lease = Some((lease, Logged::Grant));
    }

    /// Whether this is the first word about the fetch of its grant.
    pub fn fetched(&mut self, lease: LeaseId) -> bool {
        let first = self.lease == Some((lease, Logged::Grant));
        if first {
            self.lease = Some((lease, Logged::Fetch));
        }
        first
    }

    /// Whether this is the first word about the release of its grant.
    pub fn released(&mut self, lease: LeaseId) -> bool {
        (self.resumed, self.could_not_drain) = (false, false);
        self.lease.take_if(|(held, _)| *held == lease).is_some()
    }
}

/// All of them.
pub struct Members {
    present: BTreeMap<TenantId, Member>,
    /// Those of each process.
    processes: HashMap<Key, BTreeSet<TenantId>>,
    /// Those of each Slurm job.
    jobs: HashMap<Owner, BTreeSet<TenantId>>,
    /// The latest to leave, for the spans that the core remembers of them.
    past: VecDeque<(TenantId, Known)>,
    remembered: usize,
    /// Tells this boot of the machine from others.
    boot: String,
}

/// What is known of a tenant that is or was here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    pub pid: u32,
    pub label: String,
    pub gang: Option<String>,
}

/// FNV-1a: the same in every build, which the standard library's hashes need not be.
fn fold(parts: &[&[u8]]) -> u32 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

impl Members {
    /// Remembers the names of so many that have left.
    pub fn new(remembered: usize, boot: String) -> Self {
        Self {
            present: BTreeMap::new(),
            processes: HashMap::new(),
            jobs: HashMap::new(),
            past: VecDeque::new(),
            remembered,
            boot,
        }
    }

    /// What the tenant is called, also after the next start of the daemon: no other that is present has this name. Further
    /// connections of one process are numbered.
    fn session(&self, tenant: TenantId, who: &Identity) -> String {
        let Some(key) = who.key() else { return format!("{}-{}", who.pid, tenant.0) };
        let name = format!("{}-{:08x}", key.pid, fold(&[self.boot.as_bytes(), &key.start.to_le_bytes()]));
        let others = self.of_process(Some(key));
        let is_taken = |name: &str| {
            others.iter().filter_map(|other| self.get(*other)).any(|other| other.session == name)
        };
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let mut names = std::iter::once(name.clone()).chain(numbered);
        names.find(|name| !is_taken(name)).unwrap_or(name)
    }

    pub fn join(
        &mut self,
        joined: Connected,
        reservation: Reservation,
        overrides: Overrides,
        job: Option<JobMember>,
        since: Nanos,
    ) {
        let Connected { tenant, who, hello, outbound, permit } = joined;
        let session = self.session(tenant, &who);
        if let Some(key) = who.key() {
            self.processes.entry(key).or_default().insert(tenant);
        }
        if let Some(key) = job.and_then(|_| who.container_key()) {
            self.jobs.entry(key).or_default().insert(tenant);
        }
        let member = Member {
            session,
            outbound: Some(outbound),
            _permit: permit,
            devices: BTreeMap::new(),
            moved: Moved::default(),
            content: BTreeMap::new(),
            since,
            counted: Counted::default(),
            resumed: hello.holds,
            who,
            hello,
            most_allowed: reservation.limit,
            reservation,
            overrides,
            job,
            turn_rules: TurnRules::default(),
            reports: Reports::default(),
            swap_refusals: BTreeSet::new(),
            lease: None,
            engine: None,
            swaps: false,
            waits_for_devices: false,
            liveness: Liveness::default(),
            has_parted: false,
            declines_gangs: false,
            kinship: None,
            could_not_drain: false,
        };
        self.present.insert(tenant, member);
    }

    pub fn leave(&mut self, tenant: TenantId) -> Option<Member> {
        let member = self.present.remove(&tenant)?;
        if let Some(key) = member.who.key()
            && let Some(those) = self.processes.get_mut(&key)
        {
            those.remove(&tenant);
            if those.is_empty() {
                self.processes.remove(&key);
            }
        }
        if let Some(key) = member.job.and_then(|_| member.who.container_key())
            && let Some(those) = self.jobs.get_mut(&key)
        {
            those.remove(&tenant);
            if those.is_empty() {
                self.jobs.remove(&key);
            }
        }
        self.past.push_back((tenant, member.known()));
        if self.past.len() > self.remembered {
            self.past.pop_front();
        }
        Some(member)
    }

    /// Those of one process.
    pub fn of_process(&self, key: Option<Key>) -> Vec<TenantId> {
        key.and_then(|key| self.processes.get(&key)).into_iter().flatten().copied().collect()
    }

    /// Those of one Slurm job of which the plugin has said something.
    pub fn of_job(&self, job: Owner) -> impl Iterator<Item = (TenantId, &Member)> {
        let those = self.jobs.get(&job).into_iter().flatten();
        those.filter_map(|tenant| Some((*tenant, self.get(*tenant)?)))
    }

    pub fn get(&self, tenant: TenantId) -> Option<&Member> {
        self.present.get(&tenant)
    }

    pub fn get_mut(&mut self, tenant: TenantId) -> Option<&mut Member> {
        self.present.get_mut(&tenant)
    }

    pub fn all(&self) -> impl Iterator<Item = (TenantId, &Member)> {
        self.present.iter().map(|(&tenant, member)| (tenant, member))
    }

    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    /// Whether its process is about to end, so that nobody has to do anything about it.
    pub fn is_ending(&self, tenant: TenantId) -> bool {
        let process = self.get(tenant).and_then(|member| member.who.process.as_ref());
        process.is_some_and(|process| process.is_ending())
    }

    /// `tenant 3 (python3, pid 4711)`.
    pub fn name(&self, tenant: TenantId) -> String {
        match self.get(tenant) {
            Some(member) => format!("tenant {} ({})", tenant.0, member.label()),
            None => format!("tenant {}", tenant.0),
        }
    }

    pub fn known(&self, tenant: TenantId) -> Known {
        if let Some(member) = self.get(tenant) {
            return member.known();
        }
        // They leave in any order, so that there is nothing to search by.
        let past = self.past.iter().rev().find(|(id, _)| *id == tenant);
        let unknown = || Known { label: format!("tenant {}", tenant.0), ..Known::default() };
        past.map_or_else(unknown, |(_, known)| known.clone())
    }

    /// Those of the tenant's gang, itself among them; of one without a gang: nobody.
    pub fn gang_of(&self, tenant: TenantId) -> impl Iterator<Item = (TenantId, &Member)> {
        let is_of_one = |member: &&Member| member.gang_name().is_some();
        let of = self.get(tenant).filter(is_of_one).and_then(Member::gang);
        self.all().filter(move |(_, other)| of.is_some() && is_of_one(other) && other.gang() == of)
    }
}
