//! Limits the number of tenants, in all and by owner. A permit is held from the start of a connection to the end of its
//! process.
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

#[derive(Debug)]
struct InUse {
    limits: Limits,
    by: HashMap<Owner, usize>,
    /// The permits of each process, and how many of them count.
    processes: HashMap<Key, (usize, usize)>,
}

/// The permits in use.
#[derive(Clone, Debug)]
pub struct Permits {
    in_use: Arc<Mutex<InUse>>,
}

/// One tenant's permit; released when it is dropped.
#[derive(Debug)]
pub struct Permit {
    owners: Vec<Owner>,
    process: Option<Key>,
    in_use: Arc<Mutex<InUse>>,
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

impl Permits {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let in_use = InUse { limits, by: HashMap::new(), processes: HashMap::new() };
        Self { in_use: Arc::new(Mutex::new(in_use)) }
    }

    /// Other limits, for permits from now on.
    pub fn set_limits(&self, limits: Limits) {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner).limits = limits;
    }

    /// A permit for `who`. A container of the host's engine counts for itself, and not for the user that it runs as, who is
    /// root in all of them. A process with one permit gets a second one even at the limit: it reconnects, and what it had
    /// before is still kept for it.
    ///
    /// # Errors
    /// The first limit that is reached.
    pub fn acquire(&self, who: &Identity) -> Result<Permit, Reached> {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        let limits = in_use.limits;
        let mut rows = vec![(Owner::Everyone, "tenants", limits.total)];
        if who.charged_to() == who.user_key() {
            rows.push((who.user_key(), "tenants_per_user", limits.per_user));
        }
        if let Some(container) = who.container_key() {
            rows.push((container, "tenants_per_container", limits.per_container));
        }
        let full = rows.iter().find(|(owner, _, limit)| in_use.by.get(owner).copied().unwrap_or(0) >= *limit);
        let again =
            who.key().and_then(|key| in_use.processes.get(&key)).is_some_and(|(permits, _)| *permits == 1);
        let counts = match full {
            None => true,
            Some(_) if again => false,
            Some(&(_, setting, limit)) => return Err(Reached { setting, limit }),
        };
        let owners: Vec<Owner> = rows.into_iter().map(|(owner, ..)| owner).collect();
        if counts {
            owners.iter().for_each(|owner| *in_use.by.entry(*owner).or_default() += 1);
        }
        if let Some(key) = who.key() {
            let process = in_use.processes.entry(key).or_default();
            *process = (process.0 + 1, process.1 + usize::from(counts));
        }
        drop(in_use);
        Ok(Permit { owners, process: who.key(), in_use: Arc::clone(&self.in_use) })
    }
}

impl InUse {
    /// Whether a counted permit becomes free: those that a process has last are those that count.
    fn release(&mut self, process: Option<Key>) -> bool {
        let Some(key) = process else { return true };
        let Some((permits, counted)) = self.processes.get_mut(&key) else { return false };
        *permits -= 1;
        let frees = *counted > *permits;
        *counted -= usize::from(frees);
        if *permits == 0 {
            self.processes.remove(&key);
        }
        frees
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if !in_use.release(self.process) {
            return;
        }
        for owner in self.owners.drain(..) {
            if let Some(count) = in_use.by.get_mut(&owner) {
                *count -= 1;
                if *count == 0 {
                    in_use.by.remove(&owner);
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
        let permits = Permits::new(Limits { total: 5, per_user: 2, per_container: 2 });
        let mut kept: Vec<Permit> = (0..2).map(|_| permits.acquire(&who(1, Some(1))).unwrap()).collect();
        let refused = |who: &Identity| permits.acquire(who).unwrap_err().to_string();
        assert_eq!(refused(&who(1, Some(1))), "the limit [limits] tenants_per_container = 2 is reached");
        kept.extend((0..2).map(|_| permits.acquire(&who(1, None)).unwrap()));
        assert_eq!(refused(&who(1, None)), "the limit [limits] tenants_per_user = 2 is reached");
        kept.push(permits.acquire(&who(2, None)).unwrap());
        assert_eq!(refused(&who(3, None)), "the limit [limits] tenants = 5 is reached");
    }

    #[test]
    fn a_place_is_free_again_and_leaves_no_trace() {
        let permits = Permits::new(Limits { total: 1, per_user: 1, per_container: 1 });
        for _ in 0..3 {
            let permit = permits.acquire(&who(1, Some(1))).unwrap();
            assert!(permits.acquire(&who(2, None)).is_err());
            drop(permit);
        }
        assert!(permits.in_use.lock().unwrap().by.is_empty());
    }

    #[test]
    fn a_process_that_connects_anew_has_a_place_and_takes_no_others() {
        let permits = Permits::new(Limits { total: 1, per_user: 1, per_container: 1 });
        let process = Process::open(std::process::id()).unwrap();
        let one = Identity { process: Some(Arc::new(process)), ..who(1, None) };
        let before = permits.acquire(&one).unwrap();
        let anew = permits.acquire(&one).unwrap();
        assert!(permits.acquire(&one).is_err(), "and no third");
        drop(before);
        assert!(permits.acquire(&who(2, None)).is_err(), "the place of the first is the second's");
        drop(anew);
        drop(permits.acquire(&who(2, None)).unwrap());
        let in_use = permits.in_use.lock().unwrap();
        assert!(in_use.by.is_empty() && in_use.processes.is_empty());
    }
}
