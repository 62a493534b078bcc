//! How many tenants there may be, in all and by one owner. A tenant is its connection.
use crate::identity::Identity;
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

/// Whose a tenant is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    Everyone,
    User(u32),
    Container(String),
}

/// The tenants that there are.
#[derive(Clone, Debug)]
pub struct Seats {
    limits: Limits,
    taken: Arc<Mutex<HashMap<Owner, usize>>>,
}

/// One tenant's place; dropped, it is free again.
#[derive(Debug)]
pub struct Seat {
    owners: Vec<Owner>,
    taken: Arc<Mutex<HashMap<Owner, usize>>>,
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

    /// A place for `who`.
    ///
    /// # Errors
    /// The first limit that has no place left.
    pub fn take(&self, who: &Identity) -> Result<Seat, Reached> {
        let mut rows = vec![
            (Owner::Everyone, "tenants", self.limits.total),
            (Owner::User(who.uid), "tenants_per_user", self.limits.per_user),
        ];
        if let Some(id) = &who.container {
            rows.push((Owner::Container(id.clone()), "tenants_per_container", self.limits.per_container));
        }
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for (owner, setting, limit) in &rows {
            if taken.get(owner).copied().unwrap_or(0) >= *limit {
                return Err(Reached { setting, limit: *limit });
            }
        }
        let owners: Vec<Owner> = rows.into_iter().map(|(owner, ..)| owner).collect();
        for owner in &owners {
            *taken.entry(owner.clone()).or_default() += 1;
        }
        drop(taken);
        Ok(Seat { owners, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for owner in self.owners.drain(..) {
            if let Some(count) = taken.get_mut(&owner) {
                *count -= 1;
                if *count == 0 {
                    taken.remove(&owner);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(uid: u32, container: Option<&str>) -> Identity {
        Identity { pid: 1, uid, container: container.map(str::to_owned) }
    }

    #[test]
    fn each_limit_is_named_when_it_is_reached() {
        let seats = Seats::new(Limits { total: 4, per_user: 3, per_container: 2 });
        let mut kept: Vec<Seat> = (0..2).map(|_| seats.take(&who(1, Some("c"))).unwrap()).collect();
        let refused = |who: &Identity| seats.take(who).unwrap_err().to_string();
        assert_eq!(refused(&who(1, Some("c"))), "the limit [limits] tenants_per_container = 2 is reached");
        kept.push(seats.take(&who(1, None)).unwrap());
        assert_eq!(refused(&who(1, None)), "the limit [limits] tenants_per_user = 3 is reached");
        kept.push(seats.take(&who(2, None)).unwrap());
        assert_eq!(refused(&who(3, None)), "the limit [limits] tenants = 4 is reached");
    }

    #[test]
    fn a_place_is_free_again_and_leaves_no_trace() {
        let seats = Seats::new(Limits { total: 1, per_user: 1, per_container: 1 });
        for _ in 0..3 {
            let seat = seats.take(&who(1, Some("c"))).unwrap();
            assert!(seats.take(&who(2, None)).is_err());
            drop(seat);
        }
        assert!(seats.taken.lock().unwrap().is_empty());
    }
}
