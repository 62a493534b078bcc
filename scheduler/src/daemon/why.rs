//! Why a tenant is in the state that it is in, in words, and what could be done about it.
use super::gangs;
use super::tenant_table::{Member, Members};
use crate::settings::whole_size;
use crate::text;
use nvshare_core::event::TenantId;
use nvshare_core::snapshot::{Snapshot, State, TenantView};
use nvshare_core::{Priority, WaitReason, WaitView};
use nvshare_protocol::control::Why;
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::collections::{BTreeMap, BTreeSet};

/// A holder that has to leave takes so long at most before others hear of it.
const LEAVES_SOON: Nanos = Nanos::from_millis(2_000);

/// What the words are made of.
pub struct Explainer<'a> {
    picture: &'a Snapshot,
    views: BTreeMap<TenantId, &'a TenantView>,
    members: &'a Members,
    /// The user who is told; none: one who may see everybody's tenants.
    viewer: Option<u32>,
}

/// A reason before its words are complete.
struct Told {
    reason: &'static str,
    text: String,
    since: Option<Nanos>,
    expected: Option<Nanos>,
    holders: Vec<TenantId>,
    advice: Vec<String>,
}

fn told(reason: &'static str, text: impl Into<String>) -> Told {
    Told { reason, text: text.into(), since: None, expected: None, holders: Vec::new(), advice: Vec::new() }
}

impl<'a> Explainer<'a> {
    pub fn new(picture: &'a Snapshot, members: &'a Members, viewer: Option<u32>) -> Self {
        let views = picture.tenants.iter().map(|view| (view.id, view)).collect();
        Self { picture, views, members, viewer }
    }

    /// Of one tenant.
    pub fn why(&self, view: &TenantView, member: &Member) -> Why {
        let mut told = self.reason(view, member);
        if let Some(at) = view.wait.as_ref().and_then(|wait| wait.promoted) {
            told.text +=
                &format!("; tenants of higher priority come first, for {} more at most", self.time_until(at));
            // What is told already lets it come before all others.
            if view.priority == Priority::Low {
                told.advice
                    .push(format!("`nvsharectl set priority {} normal` lets it come sooner", view.id.0));
            } else if told.reason != "turn" {
                told.advice.push(format!("`nvsharectl set priority {} high` lets it come sooner", view.id.0));
            }
        }
        let seconds = |at: Nanos| self.picture.now.saturating_sub(at).as_secs_f64();
        Why {
            reason: told.reason.into(),
            text: told.text,
            seconds: told.since.map(seconds),
            expected_seconds: told.expected.map(|at| at.saturating_sub(self.picture.now).as_secs_f64()),
            holders: told.holders.iter().map(|id| id.0).collect(),
            remarks: remarks(view, member).into_iter().chain(self.gang_remarks(view, member)).collect(),
            advice: told.advice,
        }
    }

    fn reason(&self, view: &TenantView, member: &Member) -> Told {
        let id = view.id.0;
        match view.state {
            State::Disconnected => {
                return Told {
                    advice: vec![format!("end process {} if it is not needed", member.who.pid)],
                    ..told("disconnected", "its connection is gone and its process is not: what it has stays")
                };
            }
            State::Stopped => {
                return Told {
                    advice: vec![match member.who.step() {
                        Some(step) => format!("let it go on (scontrol resume {}), or end it", step.job),
                        None => {
                            let pid = member.who.pid;
                            format!("let it go on (kill -CONT {pid}, or thaw its container), or end it")
                        }
                    }],
                    ..told("stopped", "its process is stopped or frozen: it can do nothing, and others go on")
                };
            }
            _ if !self.picture.enabled => {
                return Told {
                    advice: vec!["`nvsharectl on` lets tenants take turns again".into()],
                    ..told("off", "the scheduler is off: everybody runs, and nobody waits")
                };
            }
            State::Paused => {
                return Told {
                    since: view.wait.as_ref().map(|wait| wait.since),
                    advice: vec![format!("`nvsharectl resume {id}` lets it have turns again")],
                    ..told("paused", "an operator has paused it")
                };
            }
            _ => {}
        }
        if let Some(other) = self.gang(view).into_iter().find(|other| other.state == State::Stopped) {
            let name = self.name(other.id);
            return Told {
                since: view.wait.as_ref().map(|wait| wait.since),
                holders: vec![other.id],
                advice: vec![format!("let {name} go on, or end it")],
                ..told("stopped", format!("{name} of its job is stopped or frozen, and its job waits for it"))
            };
        }
        if let Some(until) = view.gathers_until {
            let here = gangs::count(self.gang(view).len(), member.hello.gang_size);
            return Told {
                expected: Some(until),
                ..told(
                    "gang",
                    format!(
                        "its job waits for processes that are still to come ({here}), for {} more at most",
                        self.time_until(until)
                    ),
                )
            };
        }
        if let Some(wait) = &view.wait {
            return Told { since: Some(wait.since), ..self.waits(view, wait) };
        }
        if member.waits_for_devices {
            return Told {
                advice: vec!["`nvidia-smi -L` and [memory] nvml tell which GPUs the host knows".into()],
                ..told("no-device", "it asks for GPUs that the host does not know")
            };
        }
        match view.state {
            State::Unresponsive => Told {
                since: view.revoked_since,
                advice: vec![
                    format!("look at process {}: it may wait for another host or rank", member.who.pid),
                    "`nvsharectl events` says what it did last".into(),
                ],
                ..told(
                    "unresponsive",
                    "it does not give its GPU back: it lost its turn, and others go on beside it",
                )
            },
            State::Draining => Told {
                since: view.revoked_since,
                ..told("running", "its turn is over: it ends its work and moves its memory out")
            },
            State::Fetching => Told {
                since: view.holds_since,
                ..told("running", "it has its turn and brings its memory in")
            },
            State::Running => Told { since: view.holds_since, ..told("running", "it has its turn") },
            _ => told("idle", "it has no work for the GPU"),
        }
    }

    fn waits(&self, view: &TenantView, wait: &WaitView) -> Told {
        let expected = wait.expected;
        let id = view.id.0;
        match &wait.reason {
            WaitReason::Stopped => told("stopped", "its process is stopped or frozen"),
            WaitReason::Paused => told("paused", "an operator has paused it"),
            WaitReason::NoDevice => told("no-device", "it has named no GPU that the host knows yet"),
            WaitReason::Quota { until } => Told {
                expected,
                advice: vec![format!("`nvsharectl set time-share {id} 100` lifts its share of the time")],
                ..told(
                    "quota",
                    format!(
                        "its share of the time is used up ({} %): the next period begins in {}",
                        view.time_share.unwrap_or(100),
                        self.time_until(*until)
                    ),
                )
            },
            WaitReason::Debt { until } => Told {
                expected,
                ..told(
                    "debt",
                    format!(
                        "its owner's tenants have kept a GPU from others for too long: it stands back for {} at most",
                        self.time_until(*until)
                    ),
                )
            },
            WaitReason::NoRoom { device, wants, usable, kept, outside } => {
                self.no_room((*device, *wants, *usable), kept, *outside)
            }
            WaitReason::Restart { until } => Told {
                expected,
                ..told(
                    "restart",
                    format!(
                        "the scheduler has started: tenants that had their turns before come first, for {}",
                        self.time_until(*until)
                    ),
                )
            },
            WaitReason::Queue { device, ahead } => Told {
                expected,
                holders: self.holders(*device),
                ..told(
                    "queue",
                    format!(
                        "{}{} before it on {device}; {}",
                        self.all_at_once(view),
                        count(*ahead),
                        self.held(*device)
                    ),
                )
            },
            WaitReason::Turns { holders } => self.turns(view, holders, expected),
            WaitReason::Room => Told {
                expected,
                ..told("moving", "it is next: the memory of others is still moving out to make room")
            },
        }
    }

    fn turns(&self, view: &TenantView, holders: &[TenantId], expected: Option<Nanos>) -> Told {
        let revoked = |id: &TenantId| self.views.get(id).and_then(|view| view.revoked_since);
        let slow = holders.iter().filter_map(|id| Some((*id, revoked(id)?)));
        let slow = slow.filter(|(_, at)| self.picture.now.saturating_sub(*at) > LEAVES_SOON);
        if let Some((slowest, at)) = slow.min_by_key(|(_, at)| *at) {
            let since = self.picture.now.saturating_sub(at).as_secs_f64();
            return Told {
                holders: holders.to_vec(),
                advice: vec![format!(
                    "{}: after [scheduler] patience_seconds it loses its turn and others go on beside it",
                    self.name(slowest)
                )],
                ..told(
                    "leaving",
                    format!(
                        "it is next: {} has had to leave for {} and has not ended its work",
                        self.name(slowest),
                        text::time(since)
                    ),
                )
            };
        }
        let ends = expected.map(|at| format!("; the turn ends in {} at the latest", self.time_until(at)));
        Told {
            expected,
            holders: holders.to_vec(),
            advice: vec![
                format!("`nvsharectl set priority {} high` lets it come before others", view.id.0),
                "`nvsharectl set tq SECONDS` makes turns shorter".into(),
            ],
            ..told(
                "turn",
                format!(
                    "it is next: {}{}{}",
                    self.all_at_once(view),
                    self.held_by(view, holders),
                    ends.unwrap_or_default()
                ),
            )
        }
    }

    /// Those of its gang, itself among them.
    fn gang(&self, view: &TenantView) -> Vec<&'a TenantView> {
        let same = |other: &&&TenantView| view.gang.is_some() && other.gang == view.gang;
        self.views.values().filter(same).copied().collect()
    }

    /// What a gang waits for.
    fn all_at_once(&self, view: &TenantView) -> String {
        match self.gang(view).len() {
            0 | 1 => String::new(),
            members => format!("its job of {members} processes waits until all its GPUs are free; "),
        }
    }

    /// Who has the tenant's GPUs, or those of its gang.
    fn held_by(&self, view: &TenantView, holders: &[TenantId]) -> String {
        let short = |names: Vec<String>| {
            let more = names.len().saturating_sub(3);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            names.into_iter().take(3).collect::<Vec<_>>().join(", ") + &more
        };
        let gang = self.gang(view);
        if gang.len() < 2 {
            let names = holders.iter().map(|id| self.holder(*id)).collect();
            return format!("{} has the GPU", short(names));
        }
        let its: BTreeSet<DeviceId> =
            gang.iter().flat_map(|member| &member.memory).map(|(device, _)| *device).collect();
        let held = self.picture.devices.iter().filter(|at| its.contains(&at.id)).filter_map(|at| {
            let by = at.holders.iter().filter(|id| holders.contains(id));
            let names: Vec<String> = by.map(|id| self.holder(*id)).collect();
            (!names.is_empty()).then(|| format!("{} is held by {}", at.id, short(names)))
        });
        held.take(3).collect::<Vec<_>>().join("; ")
    }

    /// Who of its gang is not there, and who holds it up.
    fn gang_remarks(&self, view: &TenantView, member: &Member) -> Vec<String> {
        let Some(name) = member.gang_name() else { return Vec::new() };
        let (gang, mut remarks) = (self.gang(view), Vec::new());
        if let Some(size) = member.hello.gang_size.filter(|size| (gang.len() as u64) < u64::from(*size)) {
            remarks.push(format!(
                "{} of its job {} use the GPU until now",
                gangs::count(gang.len(), Some(size)),
                text::word(name)
            ));
        }
        let is_ending = matches!(view.state, State::Draining | State::Unresponsive);
        let stuck = |other: &&TenantView| {
            self.members.get(other.id).is_some_and(|other| is_ending && other.could_not_drain)
        };
        let stuck: Vec<String> =
            gang.iter().copied().filter(stuck).map(|other| self.name(other.id)).collect();
        if !stuck.is_empty() {
            let more = stuck.len().saturating_sub(3);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            remarks.push(format!(
                "of its job, {}{more} could not end its work when last asked to",
                stuck.into_iter().take(3).collect::<Vec<_>>().join(", ")
            ));
        }
        remarks
    }

    fn no_room(
        &self,
        (device, wants, usable): (DeviceId, Bytes, Bytes),
        kept: &[(TenantId, Bytes)],
        outside: Bytes,
    ) -> Told {
        let room = format!(
            "its {} do not fit on {device}, of which tenants may have {}",
            text::memory(wants.0),
            text::memory(usable.0)
        );
        let by_tenants = kept.iter().fold(Bytes::ZERO, |sum, (_, bytes)| sum.saturating_add(*bytes));
        // Without the others it would fit.
        let fits_alone = wants <= usable.saturating_add(outside).saturating_sub(by_tenants);
        if outside > Bytes::ZERO && fits_alone {
            return Told {
                advice: vec![
                    "`nvidia-smi` shows the programs that use the GPU; end those that are not needed".into(),
                ],
                ..told(
                    "outside",
                    format!("{room}: programs outside of nvshare use {}", text::memory(outside.0)),
                )
            };
        }
        let mut words = room;
        for (id, bytes) in kept.iter().filter(|(_, bytes)| *bytes > Bytes::ZERO) {
            words += &format!("; {} keeps {} that cannot be moved", self.name(*id), text::memory(bytes.0));
        }
        if outside > Bytes::ZERO {
            words += &format!("; programs outside of nvshare use {}", text::memory(outside.0));
        }
        Told {
            holders: kept.iter().map(|(id, _)| *id).collect(),
            advice: vec![
                "it goes on as soon as the others end or free memory, or it frees some itself".into(),
            ],
            ..told("no-room", words)
        }
    }

    fn holders(&self, device: DeviceId) -> Vec<TenantId> {
        let at = self.picture.devices.iter().find(|view| view.id == device);
        at.map(|view| view.holders.clone()).unwrap_or_default()
    }

    /// Who has the device.
    fn held(&self, device: DeviceId) -> String {
        let holders = self.holders(device);
        match &holders[..] {
            [] => "nobody has it at this moment".into(),
            [one] => format!("{} has it", self.holder(*one)),
            several => format!("{} tenants have it", several.len()),
        }
    }

    /// A holder, and since when.
    fn holder(&self, id: TenantId) -> String {
        let since = self.views.get(&id).and_then(|view| view.holds_since);
        let since = since.map(|at| self.picture.now.saturating_sub(at).as_secs_f64());
        match since {
            Some(seconds) => format!("{} (for {})", self.name(id), text::time(seconds)),
            None => self.name(id),
        }
    }

    /// What the viewer may know of another tenant.
    fn name(&self, id: TenantId) -> String {
        let may = |member: &Member| self.viewer.is_none_or(|user| member.belongs_to(user));
        match self.members.get(id) {
            Some(member) if !may(member) => "a tenant of another user".into(),
            _ => self.members.name(id),
        }
    }

    fn time_until(&self, at: Nanos) -> String {
        text::time(at.saturating_sub(self.picture.now).as_secs_f64())
    }
}

fn count(ahead: usize) -> String {
    match ahead {
        0 => "it is first in line and waits for another of its GPUs: nobody is".into(),
        1 => "1 tenant is".into(),
        n => format!("{n} tenants are"),
    }
}

/// What slows the tenant down whether it waits or not.
fn remarks(view: &TenantView, member: &Member) -> Vec<String> {
    let mut remarks = Vec::new();
    let most = view.memory.iter().map(|(_, memory)| memory.allocated).max().unwrap_or_default();
    if let Some(limit) = member.reservation.limit
        && most.0 >= limit.0 - limit.0 / 10
    {
        let by = match (member.limit_from(), member.reservation.by) {
            (Some("operator"), _) => " that an operator has set".to_owned(),
            (_, Some((setting, ceiling))) => format!(" by [limits] {setting} = {}", whole_size(ceiling)),
            _ => " that it wishes for itself".to_owned(),
        };
        remarks.push(format!(
            "it has allocated {} of its limit of {}{by}: what does not fit fails as out of memory",
            text::memory(most.0),
            text::memory(limit.0)
        ));
    }
    if let Some(limit) = member.swap_refusals.iter().next() {
        remarks.push(format!(
            "{limit} gives it no more swap space: what has none is moved by the driver (managed), which is slower"
        ));
    }
    remarks
}
