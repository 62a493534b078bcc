//! What each tenant may allocate on each device: promised when it joins, and not promised to another of its user's or
//! container's until it leaves. The tenant's library keeps the promise; what is never promised twice needs no telling
//! while it runs.
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

/// What is promised to the tenants that there are.
#[derive(Debug)]
pub struct Promises {
    ceilings: Ceilings,
    promised: HashMap<Owner, u64>,
}

/// One tenant's.
#[derive(Debug, Default)]
pub struct Promise {
    /// None: as much as there is.
    pub limit: Option<Bytes>,
    /// The setting that it comes from, with its value; none: the tenant's own wish, or nothing.
    pub by: Option<(&'static str, Bytes)>,
    /// Whose ceilings it counts against.
    owners: Vec<Owner>,
}

impl Promises {
    #[must_use]
    pub fn new(ceilings: Ceilings) -> Self {
        Self { ceilings, promised: HashMap::new() }
    }

    /// The least of what the tenant wishes, what one may have, and what is left for its user and its container.
    pub fn make(&mut self, who: &Identity, wish: Option<Bytes>) -> Promise {
        let Ceilings { per_tenant, per_user, per_container } = self.ceilings;
        let mut owners = Vec::new();
        let mut bounds = vec![("memory_per_tenant", per_tenant, per_tenant)];
        for (setting, ceiling, owner) in [
            ("memory_per_user", per_user, Some(who.user_key())),
            ("memory_per_container", per_container, who.container_key()),
        ] {
            let (Some(ceiling), Some(owner)) = (ceiling, owner) else { continue };
            let promised = self.promised.get(&owner).copied().unwrap_or(0);
            bounds.push((setting, Some(ceiling), Some(ceiling.saturating_sub(Bytes(promised)))));
            owners.push(owner);
        }
        let mut promise = Promise { limit: wish, by: None, owners };
        for (setting, ceiling, left) in bounds {
            let (Some(ceiling), Some(left)) = (ceiling, left) else { continue };
            if promise.limit.is_none_or(|limit| left < limit) {
                (promise.limit, promise.by) = (Some(left), Some((setting, ceiling)));
            }
        }
        for owner in &promise.owners {
            *self.promised.entry(*owner).or_default() += promise.limit.unwrap_or_default().0;
        }
        promise
    }

    /// The tenant is gone.
    pub fn take_back(&mut self, promise: &Promise) {
        let limit = promise.limit.unwrap_or_default().0;
        for owner in &promise.owners {
            if let Some(promised) = self.promised.get_mut(owner) {
                *promised = promised.saturating_sub(limit);
                if *promised == 0 {
                    self.promised.remove(owner);
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
        let promise = |ceilings, wish| Promises::new(ceilings).make(&who(1, None), wish);
        for (ceilings, wish, limit, by) in [
            (none, None, None, None),
            (none, gib(4), gib(4), None),
            (some, gib(4), gib(4), None),
            (some, gib(8), gib(8), None),
            (some, gib(9), gib(8), Some("memory_per_tenant")),
            (some, None, gib(8), Some("memory_per_tenant")),
        ] {
            let promise = promise(ceilings, wish);
            assert_eq!((promise.limit, promise.by.map(|(setting, _)| setting)), (limit, by), "{wish:?}");
        }
    }

    #[test]
    fn what_is_promised_to_one_is_not_promised_to_another_until_it_leaves() {
        let ceilings = Ceilings { per_tenant: None, per_user: gib(20), per_container: gib(10) };
        let mut promises = Promises::new(ceilings);
        let one = promises.make(&who(0, Some(1)), gib(6));
        let two = promises.make(&who(0, Some(1)), None);
        assert_eq!((two.limit, two.by), (gib(4), Some(("memory_per_container", Bytes(10 << 30)))));
        assert_eq!(promises.make(&who(0, Some(1)), gib(1)).limit, gib(0));
        let host = promises.make(&who(0, None), None);
        assert_eq!((host.limit, host.by), (gib(10), Some(("memory_per_user", Bytes(20 << 30)))));
        assert_eq!(promises.make(&who(0, Some(2)), None).limit, gib(0), "its user has no more");
        assert_eq!(promises.make(&who(7, Some(2)), None).limit, gib(10), "another user's has");
        promises.take_back(&one);
        assert_eq!(promises.make(&who(0, Some(1)), None).limit, gib(6));
    }

    #[test]
    fn nothing_is_left_of_those_who_left() {
        let mut promises = Promises::new(Ceilings { per_user: gib(1), ..Ceilings::default() });
        for n in 0..100 {
            let promise = promises.make(&who(n, None), Some(Bytes::MAX));
            promises.take_back(&promise);
        }
        assert!(promises.promised.is_empty());
    }
}
