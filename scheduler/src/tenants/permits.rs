//! How many connections of tenants there may be, in all and by one owner, from their beginning to the end of their
//! processes.
use crate::identity::{Identity, Owner};
use crate::process::Key;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The most tenants at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub total: usize,
    pub per_user: usize,
    pub per_container: usize,
}

#[derive(Debug, Default)]
struct Taken {
    by: HashMap<Owner, usize>,
    /// The seats of each process, and how many of them count.
    processes: HashMap<Key, (usize, usize)>,
}

/// The seats that are taken.
#[derive(Clone, Debug)]
pub struct Seats {
    limits: Limits,
    taken: Arc<Mutex<Taken>>,
}

/// One tenant's place; dropped, it is free again.
#[derive(Debug)]
pub struct Seat {
    owners: Vec<Owner>,
    process: Option<Key>,
    taken: Arc<Mutex<Taken>>,
}

/// The limit that is reached, named as in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    pub setting: &'static str,
    pub limit: usize,
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the limit [limits] {} = {} is reached", self.setting, self.limit)
    }
}

impl Seats {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, taken: Arc::default() }
    }

    /// A place for `who`. A container of the host's engine counts for itself, and not for the user that it runs as, who
    /// is root in all of them. A process that has one place already is given a second one where there is none left: it
    /// connects anew, and what it had before is still kept for it.
    ///
    /// # Errors
    /// The first limit that has no place left.
    pub fn take(&self, who: &Identity) -> Result<Seat, Reached> {
        let mut rows = vec![(Owner::Everyone, "tenants", self.limits.total)];
        if who.bearer() == who.user_key() {
            rows.push((who.user_key(), "tenants_per_user", self.limits.per_user));
        }
        if let Some(container) = who.container_key() {
            rows.push((container, "tenants_per_container", self.limits.per_container));
        }
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let full = rows.iter().find(|(owner, _, limit)| taken.by.get(owner).copied().unwrap_or(0) >= *limit);
        let again = who.key().and_then(|key| taken.processes.get(&key)).is_some_and(|(seats, _)| *seats == 1);
        let counts = match full {
            None => true,
            Some(_) if again => false,
            Some(&(_, setting, limit)) => return Err(Reached { setting, limit }),
        };
        let owners: Vec<Owner> = rows.into_iter().map(|(owner, ..)| owner).collect();
        if counts {
            owners.iter().for_each(|owner| *taken.by.entry(*owner).or_default() += 1);
        }
        if let Some(key) = who.key() {
            let process = taken.processes.entry(key).or_default();
            *process = (process.0 + 1, process.1 + usize::from(counts));
        }
        drop(taken);
        Ok(Seat { owners, process: who.key(), taken: Arc::clone(&self.taken) })
    }
}

impl Taken {
    /// Whether one that counted is free: a process's last places are those that count.
    fn give_back(&mut self, process: Option<Key>) -> bool {
        let Some(key) = process else { return true };
        let Some((seats, counted)) = self.processes.get_mut(&key) else { return false };
        *seats -= 1;
        let frees = *counted > *seats;
        *counted -= usize::from(frees);
        if *seats == 0 {
            self.processes.remove(&key);
        }
        frees
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if !taken.give_back(self.process) {
            return;
        }
        for owner in self.owners.drain(..) {
            if let Some(count) = taken.by.get_mut(&owner) {
                *count -= 1;
                if *count == 0 {
                    taken.by.remove(&owner);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::tests::who;
    use crate::process::Process;

    #[test]
    fn each_limit_is_named_when_it_is_reached() {
        let seats = Seats::new(Limits { total: 5, per_user: 2, per_container: 2 });
        let mut kept: Vec<Seat> = (0..2).map(|_| seats.take(&who(1, Some(1))).unwrap()).collect();
        let refused = |who: &Identity| seats.take(who).unwrap_err().to_string();
        assert_eq!(refused(&who(1, Some(1))), "the limit [limits] tenants_per_container = 2 is reached");
        kept.extend((0..2).map(|_| seats.take(&who(1, None)).unwrap()));
        assert_eq!(refused(&who(1, None)), "the limit [limits] tenants_per_user = 2 is reached");
        kept.push(seats.take(&who(2, None)).unwrap());
        assert_eq!(refused(&who(3, None)), "the limit [limits] tenants = 5 is reached");
    }

    #[test]
    fn a_place_is_free_again_and_leaves_no_trace() {
        let seats = Seats::new(Limits { total: 1, per_user: 1, per_container: 1 });
        for _ in 0..3 {
            let seat = seats.take(&who(1, Some(1))).unwrap();
            assert!(seats.take(&who(2, None)).is_err());
            drop(seat);
        }
        assert!(seats.taken.lock().unwrap().by.is_empty());
    }

    #[test]
    fn a_process_that_connects_anew_has_a_place_and_takes_no_others() {
        let seats = Seats::new(Limits { total: 1, per_user: 1, per_container: 1 });
        let process = Process::open(std::process::id()).unwrap();
        let one = Identity { process: Some(Arc::new(process)), ..who(1, None) };
        let before = seats.take(&one).unwrap();
        let anew = seats.take(&one).unwrap();
        assert!(seats.take(&one).is_err(), "and no third");
        drop(before);
        assert!(seats.take(&who(2, None)).is_err(), "the place of the first is the second's");
        drop(anew);
        drop(seats.take(&who(2, None)).unwrap());
        let taken = seats.taken.lock().unwrap();
        assert!(taken.by.is_empty() && taken.processes.is_empty());
    }
}
