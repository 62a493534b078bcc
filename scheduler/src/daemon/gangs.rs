//! Jobs of several processes, by their names. Only processes of one user or container can be of one job.
use crate::identity::Owner;
use std::collections::BTreeMap;

/// The core's numbers for those that have members.
#[derive(Debug, Default)]
pub struct GangNumbers {
    numbers: BTreeMap<(OwnerKey, String), (u64, usize)>,
    last: u64,
}

type OwnerKey = (u8, u64, u64);

const fn key(owner: Owner) -> OwnerKey {
    match owner {
        Owner::Everyone => (0, 0, 0),
        Owner::User(uid) => (1, uid as u64, 0),
        Owner::Container(device, inode) => (2, device, inode),
    }
}

impl GangNumbers {
    /// One more member.
    pub fn enter(&mut self, owner: Owner, name: &str) -> u64 {
        let Self { numbers, last } = self;
        let (number, members) = numbers.entry((key(owner), name.to_owned())).or_insert_with(|| {
            *last += 1;
            (*last, 0)
        });
        *members += 1;
        *number
    }

    /// One fewer.
    pub fn leave(&mut self, owner: Owner, name: &str) {
        let key = (key(owner), name.to_owned());
        if let Some((_, members)) = self.numbers.get_mut(&key) {
            *members -= 1;
            if *members == 0 {
                self.numbers.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_of_one_owner_and_is_forgotten_with_its_last_member() {
        let mut gangs = GangNumbers::default();
        let one = gangs.enter(Owner::User(1), "job");
        assert_eq!(gangs.enter(Owner::User(1), "job"), one);
        assert_ne!(gangs.enter(Owner::User(2), "job"), one, "another user's");
        assert_ne!(gangs.enter(Owner::Container(1, 0), "job"), one);
        gangs.leave(Owner::User(1), "job");
        assert_eq!(gangs.enter(Owner::User(1), "job"), one, "it has a member still");
        gangs.leave(Owner::User(1), "job");
        gangs.leave(Owner::User(1), "job");
        assert_ne!(gangs.enter(Owner::User(1), "job"), one, "another job of that name");
    }
}
