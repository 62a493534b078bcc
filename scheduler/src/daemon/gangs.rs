//! Jobs of several processes, by their names. Only processes of one user or container can be of one job.
use super::audit::Audit;
use super::tenant_table::Members;
use crate::identity::Owner;
use crate::text;
use nvshare_core::event::TenantId;
use std::collections::BTreeMap;

/// Those that have members.
#[derive(Debug, Default)]
pub struct Gangs {
    gangs: BTreeMap<(OwnerKey, String), Gang>,
    last: u64,
}

#[derive(Clone, Copy, Debug)]
struct Gang {
    /// The core's number for it.
    number: u64,
    members: usize,
    /// How many its launcher has started, by the word of those that know it.
    size: Option<u32>,
    /// All were here once.
    is_formed: bool,
    /// They do not fit together: they take turns with each other until the last has left.
    has_parted: bool,
}

/// What has become of a gang by a member that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    pub number: u64,
    pub members: usize,
    pub size: Option<u32>,
    /// It is complete for the first time; where its size is not known, it is a gang at all.
    pub formed: bool,
    /// Its members are single tenants by now, and so is this one.
    pub parted: bool,
}

type OwnerKey = (u8, u64, u64);

const fn key(owner: Owner) -> OwnerKey {
    match owner {
        Owner::Everyone => (0, 0, 0),
        Owner::User(uid) => (1, uid as u64, 0),
        Owner::Container(device, inode) => (2, device, inode),
    }
}

impl Gangs {
    /// One more member, which says how many there are to be.
    pub fn enter(&mut self, owner: Owner, name: &str, size: Option<u32>) -> Entered {
        let Self { gangs, last } = self;
        let gang = gangs.entry((key(owner), name.to_owned())).or_insert_with(|| {
            *last += 1;
            Gang { number: *last, members: 0, size: None, is_formed: false, has_parted: false }
        });
        gang.members += 1;
        gang.size = gang.size.max(size);
        let whole = gang.size.map_or(2, |size| size as usize);
        let formed = !gang.is_formed && gang.members >= whole;
        gang.is_formed |= formed;
        let Gang { number, members, size, has_parted: parted, .. } = *gang;
        Entered { number, members, size, formed, parted }
    }

    /// Its members are single tenants from now on.
    pub fn part(&mut self, owner: Owner, name: &str) {
        if let Some(gang) = self.gangs.get_mut(&(key(owner), name.to_owned())) {
            gang.has_parted = true;
        }
    }

    /// How many there are that have not parted.
    pub fn count(&self) -> usize {
        self.gangs.values().filter(|gang| !gang.has_parted).count()
    }

    /// One fewer; how many are left, and how many there were to be.
    pub fn leave(&mut self, owner: Owner, name: &str) -> (usize, Option<u32>) {
        let key = (key(owner), name.to_owned());
        let Some(gang) = self.gangs.get_mut(&key) else { return (0, None) };
        gang.members -= 1;
        let left = (gang.members, gang.size);
        if gang.members == 0 {
            self.gangs.remove(&key);
        }
        left
    }
}

/// `2 of 4 processes`.
pub fn count(members: usize, size: Option<u32>) -> String {
    match size {
        Some(size) if size as usize >= members => format!("{members} of {size} processes"),
        _ if members == 1 => "1 process".to_owned(),
        _ => format!("{members} processes"),
    }
}

/// Tells operators of a member that has come.
pub fn tell_entered(audit: &Audit, members: &Members, tenant: TenantId, entered: Entered) {
    let Some(name) = members.get(tenant).and_then(|member| member.gang_name()) else { return };
    let kind = if entered.formed { "gang-formed" } else { "gang-joined" };
    let text = format!("{}: {}", text::word(name), count(entered.members, entered.size));
    audit.publish(members, kind, tenant, |event| event.text = Some(text));
}

/// The members of this one's gang are single tenants from now on.
pub fn part(gangs: &mut Gangs, members: &mut Members, tenant: TenantId) {
    let Some((owner, name)) = members.get(tenant).and_then(|member| member.gang()) else { return };
    gangs.part(owner, name);
    let all: Vec<TenantId> = members.gang_of(tenant).map(|(id, _)| id).collect();
    for id in all {
        if let Some(member) = members.get_mut(id) {
            member.has_parted = true;
        }
    }
}

/// The others of its gang wait for this tenant, for this reason.
pub fn tell_held_up(audit: &Audit, members: &Members, tenant: TenantId, why: &str) {
    let Some(name) = members.get(tenant).and_then(|member| member.gang_name()) else { return };
    let others = members.gang_of(tenant).count().saturating_sub(1);
    if others > 0 {
        let text = format!("{}: it {why}, and {others} more of its job wait for it", text::word(name));
        audit.publish(members, "gang-held-up", tenant, |event| event.text = Some(text));
    }
}

/// A gang, of which this tenant is one, cannot end its work. Those are told of that could not; if none of them could, the
/// one that they wait for may be on another host.
pub fn tell_stuck(audit: &Audit, members: &Members, tenant: TenantId) {
    let Some(name) = members.get(tenant).and_then(|member| member.gang_name()) else { return };
    let name = text::word(name).into_owned();
    let all = members.gang_of(tenant).count();
    let stuck: Vec<TenantId> =
        members.gang_of(tenant).filter(|(_, member)| member.could_not_drain).map(|(id, _)| id).collect();
    if all > 1 && stuck.len() < all {
        stuck.into_iter().for_each(|id| tell_held_up(audit, members, id, "cannot end its work"));
    } else if all < 2 {
        let text = format!("{name}: it cannot end its work; it may wait for a process on another host");
        audit.publish(members, "gang-held-up", tenant, |event| event.text = Some(text));
    } else {
        let text = format!(
            "{name}: none of its {} can end its work; they may wait for one on another host",
            count(all, None)
        );
        audit.publish(members, "gang-held-up", tenant, |event| event.text = Some(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(gangs: &mut Gangs, owner: Owner) -> u64 {
        gangs.enter(owner, "job", None).number
    }

    #[test]
    fn a_job_is_of_one_owner_and_is_forgotten_with_its_last_member() {
        let mut gangs = Gangs::default();
        let one = number(&mut gangs, Owner::User(1));
        assert_eq!(number(&mut gangs, Owner::User(1)), one);
        assert_ne!(number(&mut gangs, Owner::User(2)), one, "another user's");
        assert_ne!(number(&mut gangs, Owner::Container(1, 0)), one);
        assert_eq!(gangs.leave(Owner::User(1), "job"), (1, None));
        assert_eq!(number(&mut gangs, Owner::User(1)), one, "it has a member still");
        gangs.leave(Owner::User(1), "job");
        assert_eq!(gangs.leave(Owner::User(1), "job"), (0, None));
        assert_ne!(number(&mut gangs, Owner::User(1)), one, "another job of that name");
    }

    #[test]
    fn a_job_is_formed_once_by_the_last_that_its_launcher_has_started() {
        let mut gangs = Gangs::default();
        let mut enter = |name: &str, size| {
            let Entered { members, size, formed, .. } = gangs.enter(Owner::User(1), name, size);
            (count(members, size), formed)
        };
        assert_eq!(enter("known", None), ("1 process".into(), false), "it does not know");
        assert_eq!(enter("known", Some(3)), ("2 of 3 processes".into(), false));
        assert_eq!(enter("known", Some(3)), ("3 of 3 processes".into(), true));
        assert_eq!(enter("known", Some(3)), ("4 processes".into(), false), "one that a process has started");
        assert_eq!(enter("unknown", None), ("1 process".into(), false));
        assert_eq!(enter("unknown", None), ("2 processes".into(), true));
        assert_eq!(enter("unknown", None), ("3 processes".into(), false));
        assert_eq!(gangs.leave(Owner::User(1), "known"), (3, Some(3)));
        assert_eq!(gangs.count(), 2);
    }

    #[test]
    fn a_job_that_has_parted_is_one_again_when_its_last_process_has_left() {
        let mut gangs = Gangs::default();
        assert!(!gangs.enter(Owner::User(1), "job", None).parted);
        gangs.part(Owner::User(1), "job");
        gangs.part(Owner::User(2), "job");
        assert!(gangs.enter(Owner::User(1), "job", None).parted);
        assert_eq!(gangs.count(), 0);
        gangs.leave(Owner::User(1), "job");
        gangs.leave(Owner::User(1), "job");
        assert!(!gangs.enter(Owner::User(1), "job", None).parted);
        assert_eq!(gangs.count(), 1);
    }
}
