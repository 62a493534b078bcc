//! What each tenant may allocate on each device. It is reserved when the tenant joins, and no other tenant of its user or
//! container can reserve it until the tenant leaves. The tenant's library keeps to it, so that limits need no messages while
//! tenants run.
use crate::identity::{Identity, Owner};
use nvshare_protocol::Bytes;
use std::collections::HashMap;

/// The most that may be allocated on each device; none: as much as there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ceilings {
    pub per_tenant: Option<Bytes>,
    pub per_user: Option<Bytes>,
    pub per_container: Option<Bytes>,
}

/// What the present tenants have reserved.
#[derive(Debug)]
pub struct Reservations {
    ceilings: Ceilings,
    reserved: HashMap<Owner, u64>,
}

/// One tenant's reservation.
#[derive(Debug, Default)]
pub struct Reservation {
    /// None: as much as there is.
    pub limit: Option<Bytes>,
    /// The setting that it comes from, with its value; none: the tenant's own wish, or nothing.
    pub by: Option<(&'static str, Bytes)>,
    /// Whose ceilings it counts against.
    owners: Vec<Owner>,
}

impl Reservations {
    #[must_use]
    pub fn new(ceilings: Ceilings) -> Self {
        Self { ceilings, reserved: HashMap::new() }
    }

    /// Other ceilings, for reservations from now on.
    pub fn set_ceilings(&mut self, ceilings: Ceilings) {
        self.ceilings = ceilings;
    }

    /// The least of what the tenant wishes, what one may have, and what is left for its user and its container; or what
    /// an operator has set, which counts against its user and its container all the same.
    pub fn reserve(&mut self, who: &Identity, wish: Option<Bytes>, set: Option<Bytes>) -> Reservation {
        let Ceilings { per_tenant, per_user, per_container } = self.ceilings;
        let mut owners = Vec::new();
        let mut bounds = vec![("memory_per_tenant", per_tenant, per_tenant)];
        for (setting, ceiling, owner) in [
            ("memory_per_user", per_user, Some(who.user_key())),
            ("memory_per_container", per_container, who.container_key()),
        ] {
            let (Some(ceiling), Some(owner)) = (ceiling, owner) else { continue };
            let reserved = self.reserved.get(&owner).copied().unwrap_or(0);
            bounds.push((setting, Some(ceiling), Some(ceiling.saturating_sub(Bytes(reserved)))));
            owners.push(owner);
        }
        let mut reservation = Reservation { limit: set.or(wish), by: None, owners };
        for (setting, ceiling, left) in bounds.into_iter().filter(|_| set.is_none()) {
            let (Some(ceiling), Some(left)) = (ceiling, left) else { continue };
            if reservation.limit.is_none_or(|limit| left < limit) {
                (reservation.limit, reservation.by) = (Some(left), Some((setting, ceiling)));
            }
        }
        for owner in &reservation.owners {
            *self.reserved.entry(*owner).or_default() += reservation.limit.unwrap_or_default().0;
        }
        reservation
    }

    /// The tenant is gone.
    pub fn release(&mut self, reservation: &Reservation) {
        let limit = reservation.limit.unwrap_or_default().0;
        for owner in &reservation.owners {
            if let Some(reserved) = self.reserved.get_mut(owner) {
                *reserved = reserved.saturating_sub(limit);
                if *reserved == 0 {
                    self.reserved.remove(owner);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::tests::who;

    fn gib(n: u64) -> Option<Bytes> {
        Some(Bytes(n << 30))
    }

    #[test]
    fn the_least_of_wish_and_ceiling_counts_and_is_named() {
        let none = Ceilings::default();
        let some = Ceilings { per_tenant: gib(8), ..none };
        let reserve = |ceilings, wish| Reservations::new(ceilings).reserve(&who(1, None), wish, None);
        for (ceilings, wish, limit, by) in [
            (none, None, None, None),
            (none, gib(4), gib(4), None),
            (some, gib(4), gib(4), None),
            (some, gib(8), gib(8), None),
            (some, gib(9), gib(8), Some("memory_per_tenant")),
            (some, None, gib(8), Some("memory_per_tenant")),
        ] {
            let reservation = reserve(ceilings, wish);
            assert_eq!(
                (reservation.limit, reservation.by.map(|(setting, _)| setting)),
                (limit, by),
                "{wish:?}"
            );
        }
    }

    #[test]
    fn what_is_promised_to_one_is_not_promised_to_another_until_it_leaves() {
        let ceilings = Ceilings { per_tenant: None, per_user: gib(20), per_container: gib(10) };
        let mut reservations = Reservations::new(ceilings);
        let one = reservations.reserve(&who(0, Some(1)), gib(6), None);
        let two = reservations.reserve(&who(0, Some(1)), None, None);
        assert_eq!((two.limit, two.by), (gib(4), Some(("memory_per_container", Bytes(10 << 30)))));
        assert_eq!(reservations.reserve(&who(0, Some(1)), gib(1), None).limit, gib(0));
        let host = reservations.reserve(&who(0, None), None, None);
        assert_eq!((host.limit, host.by), (gib(10), Some(("memory_per_user", Bytes(20 << 30)))));
        assert_eq!(reservations.reserve(&who(0, Some(2)), None, None).limit, gib(0), "its user has no more");
        assert_eq!(reservations.reserve(&who(7, Some(2)), None, None).limit, gib(10), "another user's has");
        reservations.release(&one);
        assert_eq!(reservations.reserve(&who(0, Some(1)), None, None).limit, gib(6));
    }

    #[test]
    fn what_an_operator_has_set_holds_above_ceilings_and_counts() {
        let mut reservations =
            Reservations::new(Ceilings { per_tenant: gib(8), per_user: gib(20), per_container: None });
        let set = reservations.reserve(&who(1, None), gib(4), gib(16));
        assert_eq!((set.limit, set.by), (gib(16), None));
        assert_eq!(
            reservations.reserve(&who(1, None), None, None).limit,
            gib(4),
            "what is left for its user"
        );
        reservations.set_ceilings(Ceilings::default());
        assert_eq!(reservations.reserve(&who(1, None), None, None).limit, None);
    }

    #[test]
    fn nothing_is_left_of_those_who_left() {
        let mut reservations = Reservations::new(Ceilings { per_user: gib(1), ..Ceilings::default() });
        for n in 0..100 {
            let reservation = reservations.reserve(&who(n, None), Some(Bytes::MAX), None);
            reservations.release(&reservation);
        }
        assert!(reservations.reserved.is_empty());
    }
}
