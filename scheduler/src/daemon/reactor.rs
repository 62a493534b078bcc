//! Turns messages, polls and operators' requests into events of the core, and carries out its actions.
use super::accounting::{Accounts, Exposition, picture};
use super::audit::Audit;
use super::engine::Engine;
use super::exits::ExitWatches;
use super::families;
use super::gangs::{self, Gangs};
use super::held_requests::HeldRequests;
use super::jobs;
use super::learned_gangs;
use super::liveness::PollSchedule;
use super::metering;
use super::operators::Report;
use super::rules::ContainerOverrides;
use super::swap_space;
use super::tenant_table::{Member, Members, NOTICES_SINCE};
use super::usage::Meter;
use crate::clock::Clock;
use crate::devices::served::Served;
use crate::devices::{Devices, ProcessUsage};
use crate::nvml::{ExternalProcesses, Monitor};
use crate::settings::{DaemonSettings, Source};
use crate::swap::ledger::Ledger;
use crate::tenants::inbound::Inbound;
use crate::tenants::permits::Permits;
use crate::tenants::reservations::Reservations;
use crate::tenants::shared::Shared;
use nvshare_core::event::{Action, Event, Stuck, TenantId};
use nvshare_core::{Core, print, snapshot::State};
use nvshare_protocol::control::Status;
use nvshare_protocol::tenant::{MemoryReport, Moves, ToScheduler, ToTenant};
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The first version of the protocol with [`nvshare_protocol::tenant::ToTenant::Evict`].
const MOVES_SINCE: u32 = 2;

/// Everything that the loop knows.
pub struct Daemon {
    pub clock: Clock,
    pub core: Core,
    pub settings: DaemonSettings,
    pub members: Members,
    pub devices: Devices,
    pub served: Served,
    pub process_usage: ProcessUsage,
    pub external_processes: ExternalProcesses,
    pub held_requests: HeldRequests,
    pub nvml: Monitor,
    pub ledger: Ledger,
    /// Until then, tenants are believed how much swap space they have.
    pub claims_until: Option<Nanos>,
    pub exits: ExitWatches,
    pub reservations: Reservations,
    pub polls: PollSchedule,
    pub audit: Audit,
    pub exposition: Exposition,
    pub meter: Meter,
    pub shared: Arc<Shared>,
    pub permits: Permits,
    pub container_overrides: ContainerOverrides,
    pub gangs: Gangs,
    /// The latest number of a family.
    pub last_family: u64,
    /// Tenants that could not end their work, and when it was last asked who belongs to them.
    pub stalled: BTreeMap<TenantId, Nanos>,
    /// Reads the settings again.
    pub source: Source,
}

/// Bounds a report by the largest limit that the tenant has had: our library never exceeds it.
fn within(report: MemoryReport, limit: Option<Bytes>) -> MemoryReport {
    let most = limit.unwrap_or(Bytes::MAX);
    let MemoryReport { device, allocated, resident, immovable, engine } = report;
    MemoryReport {
        engine,
        device,
        allocated: allocated.min(most),
        resident: resident.min(most),
        immovable: immovable.min(most),
    }
}

impl Daemon {
    pub fn on_inbound(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Connected(connected) => self.on_connected(*connected),
            Inbound::Message(tenant, message) => self.on_message(tenant, message),
            Inbound::Closed(tenant, why) => self.on_closed(tenant, why.as_deref()),
            Inbound::ProcessEnded(process) => self.on_process_ended(process),
            Inbound::SwapFreed(freed) => self.ledger.freed(&freed),
        }
    }

    fn on_message(&mut self, tenant: TenantId, message: ToScheduler) {
        // It was in the queue when the tenant was dismissed.
        if self.members.get(tenant).is_none_or(|member| !member.is_connected()) {
            return;
        }
        if self.members.get(tenant).is_some_and(|member| member.liveness.is_halted()) {
            self.poll(tenant);
        }
        self.audit.message(&self.members, tenant, &message);
        let Some(member) = self.members.get_mut(tenant) else { return };
        let event = match message {
            ToScheduler::Hello(_) => return,
            ToScheduler::Device(device) => return self.on_device(tenant, device),
            ToScheduler::Report(text) => {
                if member.reports.add(text.clone()) {
                    let line = format!("{} reports: {text:?}", self.members.name(tenant));
                    self.audit.warn_of(&self.members, tenant, &line);
                }
                return;
            }
            ToScheduler::Memory(report) => return self.on_memory(tenant, report),
            ToScheduler::Request => return self.on_request(tenant),
            ToScheduler::Ready(ready) => {
                if member.fetched(ready.lease) {
                    self.audit.fetched(&self.members, tenant, &ready);
                    self.accounts().fetched(tenant, &ready);
                }
                Event::Ready { tenant, ready }
            }
            ToScheduler::Released(released) => {
                if member.released(released.lease) {
                    self.audit.released(&self.members, tenant, &released);
                    self.accounts().released(tenant, &released);
                }
                Event::Released { tenant, released }
            }
            ToScheduler::Evicted(shares) => {
                self.accounts().evicted(tenant, &shares);
                Event::Evicted { tenant }
            }
            ToScheduler::SwapWanted(bytes) => return self.on_swap_wanted(tenant, bytes),
            ToScheduler::MemoryRefused(share) => return self.on_memory_refused(tenant, share),
            ToScheduler::Moves(moves) => return self.on_moves(tenant, moves),
            ToScheduler::DrainCancelled(lease) => {
                member.could_not_drain = true;
                Event::DrainCancelled { tenant, lease }
            }
            ToScheduler::Idle(lease) => Event::Idle { tenant, lease },
        };
        self.apply(event);
    }

    /// What a tenant has on a device, as far as that is possible.
    pub fn on_memory(&mut self, tenant: TenantId, report: MemoryReport) {
        let Some(member) = self.members.get_mut(tenant) else { return };
        if report.immovable == Bytes::ZERO {
            member.reports.nothing_stays(report.device);
        }
        let report = within(report, member.most_allowed());
        let report = self.bound_report(tenant, &report);
        let MemoryReport { device, allocated, resident, immovable, .. } = report;
        if let Some(engine) = report.engine.and_then(Engine::numbered) {
            self.on_engine(tenant, engine);
        }
        let before = self.core.memory_of(tenant, device);
        self.apply(Event::Memory { tenant, device, allocated, resident, immovable });
        if before.allocated != allocated {
            jobs::on_memory(self, tenant);
        }
        if self.core.enabled() {
            // Both by the core, which believes a report as far as it is possible.
            let now = self.core.memory_of(tenant, device);
            self.accounts().prefetched(tenant, device, before, now);
        }
    }

    /// How the tenant's memory moves, as far as that is possible.
    fn on_moves(&mut self, tenant: TenantId, moves: Vec<Moves>) {
        let now = self.clock.now();
        for said in moves {
            if let Some(moves) = self.accounts().moves(tenant, said, now) {
                self.apply(Event::Moves { tenant, moves });
            }
        }
    }

    /// The tenant says which engine its process uses, which is decided once.
    fn on_engine(&mut self, tenant: TenantId, engine: Engine) {
        let Some(member) = self.members.get_mut(tenant) else { return };
        if member.engine.is_some() {
            return;
        }
        member.engine = Some(engine);
        let wished_for_swap = matches!(member.hello.engine.as_str(), "auto" | "swap");
        let lacking = member.swap_refusals.first().copied();
        let lacking = lacking.filter(|_| self.ledger.total() > Bytes::ZERO);
        let word = engine.as_str();
        let fallen = lacking.filter(|_| wished_for_swap && engine != Engine::Swap);
        let text = fallen.map_or_else(
            || word.to_owned(),
            |limit| format!("{word}, which is several times slower than swap: {limit} left no swap space"),
        );
        if fallen.is_some() {
            if member.hello.version >= NOTICES_SINCE {
                member
                    .send(ToTenant::Notice(format!("the memory of this program moves by the engine {text}")));
            }
            let line = format!("{} uses the engine {text}", self.members.name(tenant));
            self.audit.warn_of(&self.members, tenant, &line);
        }
        self.audit.publish(&self.members, "engine", tenant, |event| event.text = Some(text));
    }

    fn on_swap_wanted(&mut self, tenant: TenantId, wanted: Bytes) {
        let Self { ledger, members, devices, audit, .. } = self;
        swap_space::grant(ledger, members, devices, audit, tenant, wanted);
        self.report_swap_engine(tenant);
    }

    /// Tells the core once that the tenant's memory moves by the swap engine.
    pub fn report_swap_engine(&mut self, tenant: TenantId) {
        let has = swap_space::of_tenant(&self.ledger, &self.members, tenant);
        if self.members.get_mut(tenant).is_some_and(|member| member.begins_to_swap(has)) {
            self.apply(Event::Swaps { tenant });
        }
    }

    fn accounts(&mut self) -> Accounts<'_> {
        Accounts { members: &mut self.members, devices: &mut self.devices }
    }

    /// Hands one event to the core, and carries out whatever it wants done.
    pub fn apply(&mut self, event: Event) {
        let now = self.clock.now();
        let traced = self.audit.is_traced();
        let mut lines = String::new();
        if traced {
            lines = print::event(now, &event) + "\n";
        }
        let asking = match &event {
            Event::Requested { tenant } => Some(*tenant),
            _ => None,
        };
        let actions = self.core.handle(now, event);
        if asking.is_some() || !actions.is_empty() {
            self.polls.begin(now);
        }
        if traced {
            actions.iter().for_each(|action| lines += &(print::action(now, action) + "\n"));
            self.audit.trace(&lines);
        }
        let (mut old, mut early, mut stuck) = (Vec::new(), Vec::new(), Vec::new());
        for action in actions {
            match action {
                Action::Stuck { tenant, why: Stuck::CannotDrain, .. } => {
                    stuck.push(tenant);
                    self.carry_out(action);
                }
                Action::Evict { tenant, .. } if !self.can_move(tenant) => old.push(tenant),
                Action::Grant { tenant, grant } if self.lacks_devices(tenant) => {
                    early.push((tenant, grant.lease))
                }
                action => self.carry_out(action),
            }
        }
        // Before anything else: the core lets nobody in beside them for a moment.
        stuck.into_iter().for_each(|tenant| self.learn_gang(tenant));
        if let Some(tenant) = asking.filter(|_| !self.stalled.is_empty()) {
            self.learn_late(tenant);
        }
        // A library that does not know the message moves nothing.
        old.into_iter().for_each(|tenant| self.apply(Event::Evicted { tenant }));
        early.into_iter().for_each(|(tenant, lease)| self.withdraw_grant(tenant, lease));
    }

    /// The tenant cannot end its work: if others of its family wait, they are of one job from now on.
    fn learn_gang(&mut self, stuck: TenantId) {
        if !self.settings.gangs {
            return;
        }
        let Some(learned) = learned_gangs::learn(&self.members, &self.core, stuck) else {
            self.stalled.insert(stuck, self.clock.now());
            return;
        };
        self.stalled.remove(&stuck);
        self.audit.warn_of(&self.members, stuck, &learned.line);
        // It waits for all of these before it asks for a turn.
        let expected = u32::try_from(learned.size).ok();
        for tenant in learned.joining {
            let Some(member) = self.members.get_mut(tenant) else { continue };
            member.hello.gang = Some(learned.name.clone());
            let entered = self.gangs.enter(member.who.charged_to(), &learned.name, expected);
            gangs::tell_entered(&self.audit, &self.members, tenant, entered);
            self.apply(Event::Gang { tenant, gang: entered.number, expected });
        }
    }

    /// This one asks for a turn: maybe one of its family waits for it that could not end its work before. Asked at most
    /// once a second of each.
    fn learn_late(&mut self, asking: TenantId) {
        let (now, members) = (self.clock.now(), &self.members);
        self.stalled.retain(|id, _| members.get(*id).is_some_and(Member::is_connected));
        let Some(member) = members.get(asking).filter(|member| member.hello.gang.is_none()) else { return };
        let is_due = |(id, asked): (&TenantId, &Nanos)| {
            let kin = members.get(*id).is_some_and(|other| families::nearness(member, other).is_some());
            (*id != asking && kin && now.saturating_sub(*asked) >= Nanos::SECOND).then_some(*id)
        };
        let due: Vec<TenantId> = self.stalled.iter().filter_map(is_due).collect();
        for stuck in due {
            let snapshot = self.core.snapshot();
            let view = snapshot.tenants.iter().find(|view| view.id == stuck);
            if view.is_some_and(|view| view.state == State::Unresponsive) {
                self.learn_gang(stuck);
            } else {
                self.stalled.remove(&stuck);
            }
        }
    }

    /// Whether its library knows [`nvshare_protocol::tenant::ToTenant::Evict`].
    fn can_move(&self, tenant: TenantId) -> bool {
        self.members.get(tenant).is_none_or(|member| member.hello.version >= MOVES_SINCE)
    }

    fn carry_out(&mut self, action: Action) {
        self.audit.action(&self.members, &action);
        match &action {
            Action::Grant { tenant, grant } => {
                if let Some(member) = self.members.get_mut(*tenant) {
                    member.granted(grant.lease);
                }
            }
            Action::Disbanded { tenant, .. } => gangs::part(&mut self.gangs, &mut self.members, *tenant),
            Action::Enabled { tenant, .. } => {
                if let Some(member) = self.members.get_mut(*tenant) {
                    member.waits_for_devices = false;
                }
            }
            _ => {}
        }
        let Some((tenant, message)) = action.message() else { return };
        if let Some(member) = self.members.get(tenant) {
            member.send(message);
        }
    }

    /// Polls those that others wait for.
    pub fn poll_awaited(&mut self) {
        let due = self.polls.due(&self.core.awaited(), self.clock.now());
        due.into_iter().for_each(|tenant| self.poll(tenant));
    }

    /// Polls those that are known as halted, for whoever asks.
    fn poll_halted(&mut self) {
        let halted = self.members.all().filter(|(_, member)| member.liveness.is_halted());
        let halted: Vec<TenantId> = halted.map(|(tenant, _)| tenant).collect();
        halted.into_iter().for_each(|tenant| self.poll(tenant));
    }

    /// Polls one: whether its process can do anything.
    fn poll(&mut self, tenant: TenantId) {
        let Some(member) = self.members.get_mut(tenant) else { return };
        let transition = member.liveness.poll(&member.who, &self.shared.host.cgroups);
        let Some(transition) = transition else { return };
        let resident = self.resident(tenant);
        self.audit.liveness(&self.members, tenant, transition, &resident);
        let stopped = self.members.get(tenant).is_some_and(|member| member.liveness.is_halted());
        self.apply(Event::Stopped { tenant, stopped });
    }

    /// What the tenant has on each device on which it has anything.
    fn resident(&self, tenant: TenantId) -> Vec<(DeviceId, Bytes)> {
        let devices = self.members.get(tenant).into_iter().flat_map(|member| member.devices.keys());
        let resident = devices.map(|device| (*device, self.core.memory_of(tenant, *device).resident));
        resident.filter(|(_, bytes)| *bytes > Bytes::ZERO).collect()
    }

    pub fn report(&self) -> Report<'_> {
        Report { core: &self.core, members: &self.members, devices: &self.devices, ledger: &self.ledger }
    }

    /// The status of now, and its devices by id; with the tenants of this user alone, or of all.
    pub fn status(&mut self, viewer: Option<u32>) -> (Status, Vec<DeviceId>) {
        self.poll_halted();
        self.apply(Event::Tick);
        self.report().status(viewer)
    }

    /// What a client of the metrics gets.
    pub fn exposition(&mut self) -> Arc<str> {
        let now = self.clock.now();
        if let Some(text) = self.exposition.fresh(now) {
            return text;
        }
        metering::meter_all(self);
        let (status, ids) = self.status(None);
        let counted = (&self.meter.totals, self.gangs.count());
        let picture = picture(status, ids, &self.members, &self.devices, &self.ledger, counted);
        self.exposition.renew(now, picture.text())
    }
}
