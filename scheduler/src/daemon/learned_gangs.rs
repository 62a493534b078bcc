//! Jobs that nobody has told of: a process cannot end its work while others of its family wait for a turn, which it may be
//! waiting for. They get their GPUs together from then on, as far as they fit together.
use super::families;
use super::tenant_table::Members;
use nvshare_core::event::TenantId;
use nvshare_core::snapshot::TenantView;
use nvshare_core::{Core, WaitReason};
use nvshare_protocol::DeviceId;
use std::collections::{BTreeMap, BTreeSet};

/// At most so many processes are taken for one job at a time.
const MOST: usize = 64;

/// A job that has been found.
#[derive(Debug)]
pub struct LearnedGang {
    pub name: String,
    /// Those that are to be members and are none yet.
    pub joining: Vec<TenantId>,
    /// How many it has with these.
    pub size: usize,
    /// For operators.
    pub line: String,
}

/// The tenant cannot end its work: the job of those of its family that wait, if there are any.
pub fn learn(members: &Members, core: &Core, stuck: TenantId) -> Option<LearnedGang> {
    let snapshot = core.snapshot();
    // Those that have parted do not fit together: that one waits for the other is known.
    let member = members.get(stuck).filter(|member| !member.has_parted)?;
    let waiting = snapshot.tenants.iter().filter(|view| waits_for_a_turn(view) && view.gang.is_none());
    let waiting: BTreeSet<TenantId> = waiting.map(|view| view.id).collect();
    let kin = members
        .all()
        .filter(|(id, other)| *id != stuck && waiting.contains(id) && other.hello.gang.is_none());
    let kin = kin.filter_map(|(id, other)| Some((families::nearness(member, other)?, id)));
    // Those first that are the likeliest.
    let kin: BTreeSet<_> = kin.collect();
    let own = snapshot.tenants.iter().filter(|view| {
        view.id == stuck || view.gang.is_some() && members.gang_of(stuck).any(|(id, _)| id == view.id)
    });
    let mut sums: BTreeMap<DeviceId, u128> = BTreeMap::new();
    own.for_each(|view| add(&mut sums, view));
    // Only as many as fit together: otherwise they could only part again.
    let fits = |id: &TenantId| {
        let Some(view) = snapshot.tenants.iter().find(|view| view.id == *id) else { return false };
        let mut with = sums.clone();
        add(&mut with, view);
        let fits_on = |(device, sum): (&DeviceId, &u128)| {
            core.usable(*device).is_none_or(|usable| *sum <= u128::from(usable.0))
        };
        let fit = with.iter().all(fits_on);
        if fit {
            sums = with;
        }
        fit
    };
    let mut joining: Vec<TenantId> = kin.into_iter().map(|(_, id)| id).filter(fits).take(MOST).collect();
    if joining.is_empty() {
        return None;
    }
    let name = match member.gang() {
        Some((_, name)) => name.to_owned(),
        None => {
            joining.insert(0, stuck);
            format!("learned-{}", member.session)
        }
    };
    let size = joining.len() + members.gang_of(stuck).count();
    let names: Vec<String> = joining.iter().map(|id| members.name(*id)).collect();
    let line = format!(
        "{} cannot end its work while others of its family wait: from now on they get their GPUs together, as a job of several processes: {}",
        members.name(stuck),
        names.join("; ")
    );
    Some(LearnedGang { name, joining, size, line })
}

/// Counts what the tenant has allocated on its devices.
fn add(sums: &mut BTreeMap<DeviceId, u128>, view: &TenantView) {
    for (device, memory) in &view.memory {
        *sums.entry(*device).or_default() += u128::from(memory.allocated.0);
    }
}

/// Whether it is for others that it does not run.
fn waits_for_a_turn(view: &TenantView) -> bool {
    let reason = view.wait.as_ref().map(|wait| &wait.reason);
    matches!(
        reason,
        Some(
            WaitReason::Turns { .. }
                | WaitReason::NoRoom { .. }
                | WaitReason::Queue { .. }
                | WaitReason::Room
        )
    )
}
