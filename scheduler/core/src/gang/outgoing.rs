//! Actions for a gang become actions for its members.
use super::stage::{Gathering, MemberTurn, Turn};
use super::{Gang, Gangs, Member, settling};
use crate::event::{Action, Event};
use crate::model::gang_state::GangState;
use crate::model::ids::TenantId;
use nvshare_protocol::LeaseId;
use nvshare_protocol::tenant::{Grant, Share};

/// What members hold that ran before this scheduler.
pub(super) fn old_grant() -> Grant {
    Grant { lease: LeaseId(0), budget: Vec::new(), contended: false }
}

pub(super) fn on_action(gangs: &mut Gangs, action: Action) {
    match action {
        Action::Grant { tenant: unit, grant } if gangs.gangs.contains_key(&unit) => {
            gangs.end_turn(unit);
            if let Some(gang) = gangs.gangs.get_mut(&unit) {
                gang.turn = Some(Turn::new(&grant));
                // A turn ends every eviction beside turns, whether or not all have answered.
                gang.evicting.clear();
            }
            for_members(gangs, unit, Gangs::grant_member);
            // Those that stood beside can be asked again. Others have room again for whom there was none because of them:
            // they count when the gang pays for it.
            gangs.tell_all_memory(unit);
            settling::end_beside(gangs, unit);
            begin_without_members(gangs, unit);
        }
        Action::Revoke { tenant: unit, revoke } if gangs.gangs.contains_key(&unit) => {
            gangs.revoke(unit, revoke);
        }
        Action::Evict { tenant: unit, shares } if gangs.gangs.contains_key(&unit) => {
            evict_beside(gangs, unit, &shares);
        }
        Action::Fetch { tenant: unit, shares } if gangs.gangs.contains_key(&unit) => {
            fetch(gangs, unit, &shares);
        }
        Action::Contended { tenant: unit, contended } if gangs.gangs.contains_key(&unit) => {
            let Some(gang) = gangs.gangs.get_mut(&unit) else { return };
            if let Some(turn) = &mut gang.turn {
                turn.contended = contended;
            }
            let running = gang.members.iter_mut().filter(|(_, member)| member.is_in_turn());
            for (id, member) in running {
                if let MemberTurn::Granted { idle, .. } = &mut member.turn {
                    *idle &= contended;
                }
                gangs.actions.push(Action::Contended { tenant: *id, contended });
            }
        }
        Action::Enabled { tenant: unit, enabled } if gangs.gangs.contains_key(&unit) => {
            gangs.end_turn(unit);
            let Some(gang) = gangs.gangs.get_mut(&unit) else { return };
            gang.members.values_mut().for_each(|member| member.wants = false);
            gang.gathering = Gathering::Over;
            // Nobody takes turns meanwhile: nobody loses anything.
            if gang.beside.take().is_some() {
                gangs.events.push_back(Event::GangState { tenant: unit, state: GangState::Unsettled });
            }
            let members = gang.members.iter().filter(|(_, member)| !member.is_disconnected);
            let told = members.map(|(id, _)| Action::Enabled { tenant: *id, enabled });
            gangs.actions.extend(told);
        }
        Action::NoRoom { tenant, device, wants, usable, kept } => {
            let kept = kept.into_iter().map(|(other, bytes)| (spokesman(gangs, other), bytes)).collect();
            let tenant = spokesman(gangs, tenant);
            gangs.actions.push(Action::NoRoom { tenant, device, wants, usable, kept });
        }
        Action::Stuck { tenant, lease, why } => {
            let tenant = spokesman(gangs, tenant);
            gangs.actions.push(Action::Stuck { tenant, lease, why });
        }
        // For a gang that has just ended.
        Action::Grant { tenant, .. }
        | Action::Revoke { tenant, .. }
        | Action::Evict { tenant, .. }
        | Action::Fetch { tenant, .. }
        | Action::Contended { tenant, .. }
        | Action::Enabled { tenant, .. }
            if tenant.0 >= super::FIRST => {}
        action => gangs.actions.push(action),
    }
}

fn for_members(gangs: &mut Gangs, unit: TenantId, act: fn(&mut Gangs, TenantId, TenantId)) {
    let members = gangs.members_of(unit);
    members.into_iter().for_each(|id| act(gangs, unit, id));
}

/// A grant that nobody can use is given back at once.
fn begin_without_members(gangs: &mut Gangs, unit: TenantId) {
    let runs = |gang: &Gang| gang.members.values().any(Member::is_in_turn);
    if gangs.gangs.get(&unit).is_some_and(|gang| !runs(gang)) {
        gangs.leave_turn(unit);
    }
}

fn evict_beside(gangs: &mut Gangs, unit: TenantId, shares: &[Share]) {
    let Some(gang) = gangs.gangs.get_mut(&unit) else { return };
    let asked = gang.split_eviction(shares);
    gang.evicting = asked.keys().copied().collect();
    if asked.is_empty() {
        gangs.events.push_back(Event::Evicted { tenant: unit });
    }
    gangs.ask_to_evict(asked);
}

fn fetch(gangs: &mut Gangs, unit: TenantId, budget: &[Share]) {
    let Some(gang) = gangs.gangs.get_mut(&unit) else { return };
    if let Some(turn) = &mut gang.turn {
        for share in budget {
            match turn.budget.iter_mut().find(|known| known.device == share.device) {
                Some(known) => known.bytes = share.bytes,
                None => turn.budget.push(*share),
            }
        }
    }
    let members = gang.members.iter().filter(|(_, member)| member.can_run());
    let parts: Vec<_> = members.map(|(id, _)| (*id, gang.share_of_budget(*id, budget))).collect();
    let told = parts.into_iter().filter(|(_, shares)| !shares.is_empty());
    gangs.actions.extend(told.map(|(tenant, shares)| Action::Fetch { tenant, shares }));
}

/// The member that operators are told of: one that has not answered, or the first.
fn spokesman(gangs: &Gangs, unit: TenantId) -> TenantId {
    let Some(gang) = gangs.gangs.get(&unit) else { return unit };
    let silent = gang.members.iter().find(|(_, member)| member.turn == MemberTurn::Asked);
    silent.or(gang.members.iter().next()).map_or(unit, |(id, _)| *id)
}
