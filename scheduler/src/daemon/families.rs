//! Which tenants may be processes of one job that nobody has told of: those of one owner that are of one container, or
//! were started together.
use super::tenant_table::{Kinship, Member, Members};
use crate::process;
use nvshare_core::event::TenantId;

/// How near two tenants are to each other; none: they are not of one family. The least is the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    Siblings,
    Container,
    Group,
}

/// Whether two tenants may be of one job.
pub fn nearness(one: &Member, other: &Member) -> Option<Nearness> {
    let (who, whose) = (&one.who, &other.who);
    let declines = one.declines_gangs || other.declines_gangs;
    if declines || who.charged_to() != whose.charged_to() {
        return None;
    }
    let lineage = |member: &Member| match member.kinship {
        Some(kinship) => kinship.lineage,
        None => process::family(member.who.pid),
    };
    let (lineage, other) = (lineage(one), lineage(other));
    let both = lineage.zip(other);
    if both.is_some_and(|(one, other)| one.are_siblings(other)) {
        return Some(Nearness::Siblings);
    }
    if who.container_key().is_some() && who.container_key() == whose.container_key() {
        return Some(Nearness::Container);
    }
    both.is_some_and(|(one, other)| one.is_of(other)).then_some(Nearness::Group)
}

/// The family of a tenant that has just joined: that of the nearest who are here, or a new one.
pub fn enter(members: &mut Members, tenant: TenantId, last: &mut u64) -> Option<u64> {
    let member = members.get_mut(tenant)?;
    let lineage = process::family(member.who.pid);
    member.kinship = Some(Kinship { number: 0, lineage });
    let member = members.get(tenant)?;
    let kin = members.all().filter(|(id, _)| *id != tenant).filter_map(|(_, other)| {
        Some((nearness(member, other)?, other.kinship?.number)).filter(|(_, number)| *number > 0)
    });
    let number = kin.min().map(|(_, number)| number).unwrap_or_else(|| {
        *last += 1;
        *last
    });
    members.get_mut(tenant)?.kinship = Some(Kinship { number, lineage });
    Some(number)
}
