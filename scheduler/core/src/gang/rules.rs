//! What holds for a gang's turns: of what its members may, that which keeps the promise to each of them. It does not depend
//! on who came or spoke last.
use super::{Gang, Gangs, Member};
use crate::event::Event;
use crate::model::ids::TenantId;
use crate::model::priority::Priority;

/// What was told of one member's turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    pub weight: Option<u32>,
    pub priority: Option<Priority>,
    /// The group, and the most per cent of the time; 100: it has no bound.
    pub time_share: Option<(u64, u32)>,
}

impl Gang {
    /// The largest weight, the highest priority and the least share of time: a share is a bound, and the others are what a
    /// member may count on.
    fn combined_rules(&self) -> Rules {
        let rules = || self.members.values().map(|member: &Member| member.rules);
        let shares = || rules().filter_map(|rules| rules.time_share);
        Rules {
            weight: rules().filter_map(|rules| rules.weight).max(),
            priority: rules().filter_map(|rules| rules.priority).max(),
            time_share: shares().min_by_key(|(group, percent)| (*percent, *group)),
        }
    }
}

/// A member's rules have changed, or there is one more or one fewer.
pub(super) fn update(gangs: &mut Gangs, unit: TenantId) {
    let Some(gang) = gangs.gangs.get_mut(&unit) else { return };
    let (was, is) = (gang.told.rules, gang.combined_rules());
    gang.told.rules = is;
    let mut tell = |event| gangs.events.push_back(event);
    if was.weight != is.weight {
        tell(Event::Weight { tenant: unit, weight: is.weight.unwrap_or(1) });
    }
    if was.priority != is.priority {
        tell(Event::Priority { tenant: unit, priority: is.priority.unwrap_or_default() });
    }
    if was.time_share != is.time_share {
        let (group, percent) =
            is.time_share.or(was.time_share.map(|(group, _)| (group, 100))).unwrap_or((0, 100));
        tell(Event::TimeShare { tenant: unit, group, percent });
    }
}
