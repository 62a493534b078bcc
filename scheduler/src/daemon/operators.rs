//! What operators ask for: a report from the core's picture and the members' names, or a change.
use super::swap_space;
use super::tenant_table::{Known, Member, Members};
use super::why::Explainer;
use crate::devices::Devices;
use crate::settings::from_seconds;
use crate::settings::table::QUANTUM;
use crate::swap::ledger::Ledger;
use nvshare_core::event::{Event, TenantId};
use nvshare_core::snapshot::{DeviceView, State, TenantView};
use nvshare_core::{Core, parse, settings, span};
use nvshare_protocol::control::{
    DeviceStatus, QuantumSetting, Request, SCHEMA, Span, Status, Target, TenantChange, TenantMoves,
    TenantStatus, Trace,
};
use nvshare_protocol::{Bytes, DeviceId, Nanos};

/// What a request comes to.
pub enum Command {
    Status,
    Trace,
    Set {
        target: Target,
        change: TenantChange,
    },
    Pause {
        target: Target,
        paused: bool,
    },
    MoveOut {
        target: Target,
    },
    Reload,
    /// The event for the core, and what the operator is answered then.
    Change {
        event: Event,
        message: String,
    },
}

/// Understands a request.
///
/// # Errors
/// Why it is refused, with what is allowed.
pub fn understand(request: &Request, core: &Core) -> Result<Command, String> {
    let change = |event, message| Ok(Command::Change { event, message });
    match request {
        Request::Status => Ok(Command::Status),
        Request::Trace => Ok(Command::Trace),
        Request::SetTenant { target, change } => {
            Ok(Command::Set { target: target.clone(), change: change.clone() })
        }
        Request::Pause { target } => Ok(Command::Pause { target: target.clone(), paused: true }),
        Request::Resume { target } => Ok(Command::Pause { target: target.clone(), paused: false }),
        Request::Evict { target } => Ok(Command::MoveOut { target: target.clone() }),
        Request::Reload => Ok(Command::Reload),
        Request::Report(_) => Err("reports are made elsewhere".into()),
        Request::Events | Request::EventsSince(_) => {
            Err("events are followed on a connection of their own".into())
        }
        Request::SetQuantum(QuantumSetting::Auto) => {
            change(Event::SetAuto, "the quantum is auto: it follows the cost of a hand-over".into())
        }
        Request::SetQuantum(QuantumSetting::Seconds(seconds)) => {
            change(Event::SetQuantum { quantum: length(*seconds)? }, format!("the quantum is {seconds} s"))
        }
        Request::SetGpuQuantum { gpu, quantum } => set_gpu_quantum(gpu, *quantum, core),
        Request::SetEvict { mode } => match settings::EvictMode::named(mode) {
            Some(evict) => change(Event::SetEvict { evict }, format!("evict is {mode}")),
            None => Err(format!("evict = {mode:?} is not allowed (allowed: pressure, always or never)")),
        },
        Request::On => {
            change(Event::SetEnabled { enabled: true }, "the scheduler is on: turns are taken".into())
        }
        Request::Off => {
            change(Event::SetEnabled { enabled: false }, "the scheduler is off: everybody runs".into())
        }
    }
}

fn length(seconds: f64) -> Result<Nanos, String> {
    from_seconds(seconds).ok_or_else(|| format!("quantum = {seconds} is not allowed (allowed: {QUANTUM})"))
}

fn set_gpu_quantum(gpu: &str, quantum: Option<QuantumSetting>, core: &Core) -> Result<Command, String> {
    let known: Vec<DeviceId> = core.snapshot().devices.iter().map(|view| view.id).collect();
    let device = parse::gpu(gpu).filter(|device| known.contains(device)).ok_or_else(|| {
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        let known = if known.is_empty() { "none yet".into() } else { known.join(", ") };
        format!("no tenant has named a GPU {gpu:?} (known: {known})")
    })?;
    let (quantum, word) = match quantum {
        None => (None, "as on the others".into()),
        Some(QuantumSetting::Auto) => (Some(settings::Quantum::Auto), "auto".into()),
        Some(QuantumSetting::Seconds(seconds)) => {
            (Some(settings::Quantum::Fixed(length(seconds)?)), format!("{seconds} s"))
        }
    };
    let message = format!("the quantum on {device} is {word}");
    Ok(Command::Change { event: Event::SetDeviceQuantum { device, quantum }, message })
}

/// Where a report comes from.
pub struct Report<'a> {
    pub core: &'a Core,
    pub members: &'a Members,
    pub devices: &'a Devices,
    pub ledger: &'a Ledger,
}

impl Report<'_> {
    /// The status, and its devices by id; with the tenants of this user alone, or of all.
    pub fn status(&self, viewer: Option<u32>) -> (Status, Vec<DeviceId>) {
        let picture = self.core.snapshot();
        let explainer = Explainer::new(&picture, self.members, viewer);
        let may_see = |view: &&TenantView| {
            let member = self.members.get(view.id);
            viewer.is_none_or(|user| member.is_some_and(|member| member.belongs_to(user)))
        };
        let seen = picture.tenants.iter().filter(may_see);
        let ids = picture.devices.iter().map(|view| view.id).collect();
        let alike = picture.devices.iter().filter(|view| view.own_quantum.is_none());
        let turns = alike.map(|view| view.quantum);
        let quantum = turns.max().filter(|_| picture.auto).unwrap_or(picture.quantum);
        let status = Status {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").into(),
            enabled: picture.enabled,
            quantum_seconds: quantum.as_secs_f64(),
            quantum_auto: picture.auto,
            evict: picture.evict.as_str().into(),
            uptime_seconds: picture.now.as_secs_f64(),
            devices: picture.devices.iter().map(|view| self.device_status(view)).collect(),
            tenants: seen.filter_map(|view| self.tenant_status(view, &explainer)).collect(),
        };
        (status, ids)
    }

    fn device_status(&self, view: &DeviceView) -> DeviceStatus {
        let ids = |list: &[TenantId]| list.iter().map(|id| id.0).collect::<Vec<_>>();
        let known = self.devices.get(view.id);
        let seen = self.devices.seen(view.id);
        let place = seen.and_then(|seen| seen.place.as_ref());
        DeviceStatus {
            uuid: view.id.to_string(),
            index: place.map(|place| place.index),
            bus_id: place.map(|place| place.bus_id.clone()).unwrap_or_default(),
            name: known.map(|known| known.name.clone()).unwrap_or_default(),
            capacity_bytes: view.capacity.0,
            capacity_from: known.map(|known| known.from.as_str().to_owned()).unwrap_or_default(),
            allocated_bytes: view.allocated.0,
            resident_bytes: view.resident.0,
            outside_bytes: view.outside.0,
            used_bytes: seen.and_then(|seen| seen.used).map(|used| used.0),
            utilization_percent: seen.and_then(|seen| seen.utilization),
            holders: ids(&[&view.holders[..], &view.beside[..]].concat()),
            waiting: ids(&view.waiting),
            handovers: view.handovers,
            held_seconds: view.held.as_secs_f64(),
            quantum_seconds: view.quantum.as_secs_f64(),
            quantum_setting: view.own_quantum.map(|own| match own {
                settings::Quantum::Auto => QuantumSetting::Auto,
                settings::Quantum::Fixed(length) => QuantumSetting::Seconds(length.as_secs_f64()),
            }),
            fetch_cost_seconds: view.cost.0.as_secs_f64(),
            release_cost_seconds: view.cost.1.as_secs_f64(),
            fetch_bytes_per_second: view.rate,
        }
    }

    fn tenant_status(&self, view: &TenantView, explainer: &Explainer<'_>) -> Option<TenantStatus> {
        let member = self.members.get(view.id)?;
        let sum = |part: fn(&nvshare_core::MemoryUse) -> u64| {
            view.memory.iter().fold(0u64, |sum, (_, memory)| sum.saturating_add(part(memory)))
        };
        Some(TenantStatus {
            id: view.id.0,
            session: member.session.clone(),
            pid: member.who.pid,
            uid: member.who.uid,
            user_uid: member.who.user,
            user: None,
            program: member.hello.program.clone(),
            container: member.who.shown(),
            slurm_step: member.who.step().map(ToString::to_string),
            container_name: None,
            state: state(view, member).into(),
            devices: view.memory.iter().map(|(device, _)| device.to_string()).collect(),
            allocated_bytes: sum(|memory| memory.allocated.0),
            resident_bytes: sum(|memory| memory.resident.0),
            immovable_bytes: sum(|memory| memory.immovable.0),
            held_seconds: view.held.as_secs_f64(),
            waited_seconds: view.waited.as_secs_f64(),
            grants: view.grants,
            weight: view.weight,
            priority: view.priority.as_str().into(),
            time_share_percent: view.time_share,
            limit_bytes: member.reservation.limit.map(|limit| limit.0),
            swap_bytes: swap_space::of_tenant(self.ledger, self.members, view.id).0,
            moved_out_bytes: sum(|memory| memory.allocated.saturating_sub(memory.resident).0),
            moves: moves(view, member),
            library: member.hello.library.clone(),
            engine: member.hello.engine.clone(),
            engine_in_use: member.engine_in_use(sum(|memory| memory.allocated.0)).into(),
            limit_from: member.limit_from().map(str::to_owned),
            paused: view.is_paused,
            gang: member.gang_name().map(str::to_owned),
            gang_size: member.gang_name().and(member.hello.gang_size),
            why: explainer.why(view, member),
            reports: member.reports.shown(),
        })
    }

    /// The spans that the core remembers, and those that are open.
    pub fn trace(&self) -> Trace {
        let picture = self.core.snapshot();
        let spans = self.core.spans().chain(picture.open).map(|span| self.span(&span)).collect();
        Trace { spans, dropped: picture.dropped }
    }

    fn span(&self, span: &span::Span) -> Span {
        let Known { pid, label, gang } = self.members.known(span.tenant);
        Span {
            tenant: span.tenant.0,
            pid,
            label,
            gang,
            devices: span.devices.iter().map(ToString::to_string).collect(),
            kind: span.kind.as_str().into(),
            start: span.start.as_secs_f64(),
            end: span.end.map(|end| end.as_secs_f64()),
            bytes: span.bytes.0,
            unchanged_bytes: span.unchanged.0,
            zero_bytes: span.zero.0,
        }
    }
}

/// How the tenant's memory moves on all its devices; none: it does not tell.
fn moves(view: &TenantView, member: &Member) -> Option<TenantMoves> {
    let told = view.memory.iter().filter_map(|(device, memory)| Some((memory, member.content.get(device)?)));
    told.fold(None, |sum, (memory, content)| {
        let sum: TenantMoves = sum.unwrap_or_default();
        let (away, clean) = content.gauges(memory.allocated.saturating_sub(memory.resident), memory.resident);
        let plus = |sum: u64, bytes: Bytes| sum.saturating_add(bytes.0);
        Some(TenantMoves {
            copied_out_bytes: plus(sum.copied_out_bytes, content.moved.out),
            copied_in_bytes: plus(sum.copied_in_bytes, content.moved.into),
            unchanged_bytes: plus(sum.unchanged_bytes, content.skipped.unchanged),
            zero_out_bytes: plus(sum.zero_out_bytes, content.skipped.zero_out),
            zero_in_bytes: plus(sum.zero_in_bytes, content.skipped.zero_in),
            away_content_bytes: plus(sum.away_content_bytes, away),
            clean_bytes: plus(sum.clean_bytes, clean),
        })
    })
}

/// A tenant waits also while devices that it has named are refused.
fn state(view: &TenantView, member: &Member) -> &'static str {
    if member.waits_for_devices && view.state == State::Idle {
        State::Waiting.as_str()
    } else {
        view.state.as_str()
    }
}
