//! What an operator asks, answered from the core's picture and the members' names.
use super::Daemon;
use super::members::Member;
use crate::settings::from_seconds;
use crate::settings::table::QUANTUM;
use nvshare_core::event::{Event, TenantId};
use nvshare_core::snapshot::{DeviceView, State, TenantView};
use nvshare_core::{Snapshot, parse, print, settings, span};
use nvshare_protocol::DeviceId;
use nvshare_protocol::control;
use nvshare_protocol::control::{DeviceStatus, Quantum, Reply, Request, Span, Status, TenantStatus, Trace};
use std::sync::Arc;

impl Daemon {
    pub(super) fn answer(&mut self, request: &Request) -> Reply {
        let shared = Arc::clone(&self.shared);
        let done = |message: String| {
            tracing::info!("an operator: {message}");
            let text = Some(message.clone());
            shared.events.publish(|| control::Event {
                kind: "set".into(),
                text,
                ..control::Event::default()
            });
            Reply::Done { message }
        };
        match request {
            Request::Status => Reply::Status(self.status()),
            Request::Trace => Reply::Trace(self.spans()),
            Request::Events => refused("events are followed on a connection of their own".into()),
            Request::SetQuantum(Quantum::Auto) => {
                self.tell(Event::SetAuto);
                done("the quantum is auto: it follows the cost of a hand-over".into())
            }
            Request::SetQuantum(Quantum::Seconds(seconds)) => match from_seconds(*seconds) {
                Some(quantum) => {
                    self.tell(Event::SetQuantum(quantum));
                    done(format!("the quantum is {seconds} s"))
                }
                None => refused(format!("quantum = {seconds} is not allowed (allowed: {QUANTUM})")),
            },
            Request::SetGpuQuantum { gpu, quantum } => match self.set_gpu_quantum(gpu, *quantum) {
                Ok(message) => done(message),
                Err(message) => refused(message),
            },
            Request::SetEvict { mode } => match parse::evict(mode) {
                Some(evict) => {
                    self.tell(Event::SetEvict(evict));
                    done(format!("evict is {mode}"))
                }
                None => {
                    refused(format!("evict = {mode:?} is not allowed (allowed: pressure, always or never)"))
                }
            },
            Request::On | Request::Off => {
                let on = *request == Request::On;
                self.tell(Event::SetEnabled(on));
                let word = if on { "on: turns are taken" } else { "off: everybody runs" };
                done(format!("the scheduler is {word}"))
            }
        }
    }

    /// What it is then, or why not.
    fn set_gpu_quantum(&mut self, gpu: &str, quantum: Option<Quantum>) -> Result<String, String> {
        let known: Vec<DeviceId> = self.core.snapshot().devices.iter().map(|view| view.id).collect();
        let device = parse::gpu(gpu).filter(|device| known.contains(device)).ok_or_else(|| {
            let known: Vec<String> = known.iter().map(ToString::to_string).collect();
            let known = if known.is_empty() { "none yet".into() } else { known.join(", ") };
            format!("no tenant has named a GPU {gpu:?} (known: {known})")
        })?;
        let (set, word) = match quantum {
            None => (None, "as on the others".into()),
            Some(Quantum::Auto) => (Some(settings::Quantum::Auto), "auto".into()),
            Some(Quantum::Seconds(seconds)) => {
                let length = from_seconds(seconds)
                    .ok_or_else(|| format!("quantum = {seconds} is not allowed (allowed: {QUANTUM})"))?;
                (Some(settings::Quantum::Fixed(length)), format!("{seconds} s"))
            }
        };
        self.tell(Event::SetDeviceQuantum { device, quantum: set });
        Ok(format!("the quantum on {device} is {word}"))
    }

    /// The core's picture of now, and not of its last event.
    fn picture(&mut self) -> Snapshot {
        self.tell(Event::Tick);
        self.core.snapshot()
    }

    fn status(&mut self) -> Status {
        self.status_and_devices().0
    }

    /// The status, and its devices by id.
    pub(super) fn status_and_devices(&mut self) -> (Status, Vec<DeviceId>) {
        self.look_at_the_stopped();
        let picture = self.picture();
        let ids = picture.devices.iter().map(|view| view.id).collect();
        let alike = picture.devices.iter().filter(|view| view.own_quantum.is_none());
        let turns = alike.map(|view| view.quantum);
        let quantum = turns.max().filter(|_| picture.auto).unwrap_or(picture.quantum);
        let status = Status {
            version: env!("CARGO_PKG_VERSION").into(),
            enabled: picture.enabled,
            quantum_seconds: quantum.as_secs_f64(),
            quantum_auto: picture.auto,
            evict: print::evict_word(picture.evict).into(),
            uptime_seconds: picture.now.as_secs_f64(),
            devices: picture.devices.iter().map(|view| self.device_status(view)).collect(),
            tenants: picture.tenants.iter().filter_map(|view| self.tenant_status(view)).collect(),
        };
        (status, ids)
    }

    fn device_status(&self, view: &DeviceView) -> DeviceStatus {
        let ids = |list: &[TenantId]| list.iter().map(|id| id.0).collect::<Vec<_>>();
        let known = self.devices.get(view.id);
        DeviceStatus {
            uuid: view.id.to_string(),
            name: known.map(|known| known.name.clone()).unwrap_or_default(),
            capacity_bytes: view.capacity.0,
            capacity_from: known.map(|known| known.from.as_str().to_owned()).unwrap_or_default(),
            allocated_bytes: view.allocated.0,
            resident_bytes: view.resident.0,
            outside_bytes: view.outside.0,
            holders: ids(&[&view.holders[..], &view.beside[..]].concat()),
            waiting: ids(&view.waiting),
            handovers: view.handovers,
            quantum_seconds: view.quantum.as_secs_f64(),
            own_quantum: view.own_quantum.map(|own| match own {
                settings::Quantum::Auto => Quantum::Auto,
                settings::Quantum::Fixed(length) => Quantum::Seconds(length.as_secs_f64()),
            }),
            fetch_cost_seconds: view.cost.0.as_secs_f64(),
            release_cost_seconds: view.cost.1.as_secs_f64(),
            fetch_rate: view.rate,
        }
    }

    fn tenant_status(&self, view: &TenantView) -> Option<TenantStatus> {
        let member = self.members.get(view.id)?;
        let sum = |part: fn(&nvshare_core::MemoryUse) -> u64| {
            view.memory.iter().fold(0u64, |sum, (_, memory)| sum.saturating_add(part(memory)))
        };
        Some(TenantStatus {
            id: view.id.0,
            pid: member.who.pid,
            uid: member.who.uid,
            program: member.hello.program.clone(),
            container: member.who.shown(),
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
            swap_bytes: self.swap_of(view.id).0,
            library: member.hello.library.clone(),
            engine: member.hello.engine.clone(),
            reports: member.reports.shown(),
        })
    }

    fn spans(&mut self) -> Trace {
        let picture = self.picture();
        let spans = self.core.spans().chain(&picture.open).map(|span| self.span(span)).collect();
        Trace { spans, dropped: picture.dropped }
    }

    fn span(&self, span: &span::Span) -> Span {
        let (pid, label) = self.members.known(span.tenant);
        Span {
            tenant: span.tenant.0,
            pid,
            label,
            devices: span.devices.iter().map(ToString::to_string).collect(),
            kind: span.kind.as_str().into(),
            start: span.start.as_secs_f64(),
            end: span.end.map(|end| end.as_secs_f64()),
            bytes: span.bytes.0,
        }
    }
}

/// One that asks for devices of which the core does not know all yet waits.
fn state(view: &TenantView, member: &Member) -> &'static str {
    if member.waits_for_devices && view.state == State::Idle {
        State::Waiting.as_str()
    } else {
        view.state.as_str()
    }
}

fn refused(message: String) -> Reply {
    Reply::Error { message }
}
