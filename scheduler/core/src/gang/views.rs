//! The picture of gangs, member by member.
use super::stage::MemberTurn;
use super::{FIRST, Gang, Gangs, Member};
use crate::model::ids::TenantId;
use crate::model::span::Span;
use crate::policy::waits::{WaitReason, WaitView};
use crate::trace::snapshot::{Snapshot, State, TenantView};
use nvshare_protocol::DeviceId;

/// A picture in which gangs are replaced by their members.
pub(crate) trait Expanded {
    fn expanded(self, gangs: &Gangs) -> Self;
}

impl Expanded for Snapshot {
    fn expanded(mut self, gangs: &Gangs) -> Self {
        if gangs.gangs.is_empty() {
            return self;
        }
        for device in &mut self.devices {
            let users = |list: &mut Vec<TenantId>| {
                let uses = |id: &TenantId| {
                    let member = gangs.gang_of(*id).and_then(|gang| gang.members.get(id));
                    member.is_none_or(|member| member.devices.contains_key(&device.id))
                };
                let all = list.iter().flat_map(|id| gangs.members_of(*id));
                *list = all.filter(uses).collect();
            };
            users(&mut device.holders);
            users(&mut device.beside);
            users(&mut device.waiting);
        }
        let tenants = std::mem::take(&mut self.tenants).into_iter();
        self.tenants = tenants.flat_map(|view| expand(gangs, view)).collect();
        self.tenants.sort_by_key(|view| view.id);
        self.open = self.open.iter().flat_map(|span| spans(gangs, span)).collect();
        self
    }
}

fn expand(gangs: &Gangs, view: TenantView) -> Vec<TenantView> {
    let Some(gang) = gangs.gangs.get(&view.id) else {
        return vec![TenantView { wait: view.wait.map(|wait| named(gangs, wait)), ..view }];
    };
    gang.members.iter().map(|(id, member)| member_view(gangs, gang, *id, member, &view)).collect()
}

fn member_view(gangs: &Gangs, gang: &Gang, id: TenantId, member: &Member, view: &TenantView) -> TenantView {
    let gathers_until = gang.gathers_until().filter(|_| member.wants && !member.is_disconnected);
    let state = match view.state {
        _ if member.is_disconnected => State::Disconnected,
        _ if member.is_stopped => State::Stopped,
        // The process of another member is.
        State::Stopped | State::Disconnected => State::Waiting,
        State::Running | State::Fetching | State::Draining if member.turn == MemberTurn::None => State::Idle,
        State::Idle if gathers_until.is_some() => State::Waiting,
        state => state,
    };
    TenantView {
        id,
        state,
        memory: member.devices.iter().map(|(device, on)| (*device, on.memory)).collect(),
        wait: view.wait.clone().filter(|_| !member.is_disconnected).map(|wait| named(gangs, wait)),
        gang: Some(gang.number),
        gathers_until,
        ..view.clone()
    }
}

/// A wait that names members instead of gangs.
fn named(gangs: &Gangs, wait: WaitView) -> WaitView {
    let reason = match wait.reason {
        WaitReason::Turns { holders } => {
            WaitReason::Turns { holders: holders.into_iter().flat_map(|id| gangs.members_of(id)).collect() }
        }
        WaitReason::NoRoom { device, wants, usable, kept, outside } => {
            let kept = kept.into_iter().flat_map(|(unit, bytes)| {
                let Some(gang) = gangs.gangs.get(&unit) else { return vec![(unit, bytes)] };
                let has = |member: &Member| member.devices.get(&device).map(|on| on.memory.resident);
                let members = gang.members.iter();
                members.filter_map(|(id, member)| Some((*id, has(member)?))).collect()
            });
            WaitReason::NoRoom { device, wants, usable, kept: kept.collect(), outside }
        }
        reason => reason,
    };
    WaitView { reason, ..wait }
}

/// A span of a gang, as one of each member with its devices, whether these have left meanwhile or not. One of a gang that
/// left too long ago is as it is.
pub(crate) fn spans(gangs: &Gangs, span: &Span) -> Vec<Span> {
    if span.tenant.0 < FIRST {
        return vec![span.clone()];
    }
    let of = |tenant: TenantId, uses: &dyn Fn(&DeviceId) -> bool| {
        let devices: Vec<DeviceId> = span.devices.iter().copied().filter(uses).collect();
        (!devices.is_empty()).then(|| Span { tenant, devices, ..span.clone() })
    };
    let present = gangs.gangs.get(&span.tenant).into_iter().flat_map(|gang| &gang.members);
    let present = present.filter_map(|(id, member)| of(*id, &|device| member.devices.contains_key(device)));
    let past = gangs.past.members_in(span);
    let past = past.filter_map(|(id, devices)| of(id, &|device| devices.contains(device)));
    let mut all: Vec<Span> = present.chain(past).collect();
    if all.is_empty() {
        all.push(span.clone());
    }
    all.sort_by_key(|span| span.tenant);
    all
}
