//! What the driver shows that each tenant's process uses of a device, as far as it is news.
use nvshare_core::event::TenantId;
use nvshare_protocol::{Bytes, DeviceId};
use std::collections::HashMap;

/// What was told last.
#[derive(Debug, Default)]
pub struct Seen {
    told: HashMap<DeviceId, HashMap<TenantId, Told>>,
}

/// What was told of a tenant, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    bytes: Bytes,
    times: u8,
}

impl Told {
    /// That a process is not there is told twice: the first time its context may have been too new.
    fn is_whole(self) -> bool {
        self.bytes > Bytes::ZERO || self.times > 1
    }
}

impl Seen {
    /// The tenant uses the device from now on. True: others are shown there, so that it counts as one that is not until it
    /// is, too.
    pub fn begins(&mut self, tenant: TenantId, pid: u32, device: DeviceId) -> bool {
        let Some(told) = self.told.get_mut(&device).filter(|_| pid != 0) else { return false };
        let shows = told.values().any(|told| told.bytes > Bytes::ZERO);
        if shows {
            told.insert(tenant, Told { bytes: Bytes::ZERO, times: 1 });
        }
        shows
    }

    /// Whether the tenant's process was not on the device when it was looked at last.
    #[must_use]
    pub fn is_missing(&self, tenant: TenantId, device: DeviceId) -> bool {
        let told = self.told.get(&device).and_then(|told| told.get(&tenant));
        told.is_some_and(|told| told.bytes == Bytes::ZERO)
    }

    /// What is another than before, of the `users` of the device with their pids; `listed` is what each process uses. A
    /// process that is not listed uses nothing, if any of the others is listed; where none is, the pids are those of
    /// another namespace, or nobody has a context, and nothing can be said.
    pub fn news(
        &mut self,
        device: DeviceId,
        users: &[(TenantId, u32)],
        listed: &HashMap<u32, Bytes>,
    ) -> Vec<(TenantId, Bytes)> {
        if !users.iter().any(|(_, pid)| listed.contains_key(pid)) {
            return Vec::new();
        }
        let told = self.told.entry(device).or_default();
        // The pid of a process that this one cannot see is 0.
        let visible = users.iter().filter(|(_, pid)| *pid != 0);
        let now = visible.map(|(tenant, pid)| (*tenant, listed.get(pid).copied().unwrap_or_default()));
        let news = |&(tenant, bytes): &(TenantId, Bytes)| {
            let before = told.get(&tenant).copied().filter(|told| told.bytes == bytes);
            let times = before.map_or(1, |told| told.times.saturating_add(1));
            told.insert(tenant, Told { bytes, times });
            before.is_none_or(|told| !told.is_whole())
        };
        now.filter(news).collect()
    }

    /// The tenant does not use the device any more.
    pub fn forget(&mut self, tenant: TenantId, device: DeviceId) {
        if let Some(told) = self.told.get_mut(&device) {
            told.remove(&tenant);
            if told.is_empty() {
                self.told.remove(&device);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPU: DeviceId = DeviceId([1; 16]);
    const ONE: TenantId = TenantId(1);
    const TWO: TenantId = TenantId(2);

    fn news(seen: &mut Seen, users: &[(TenantId, u32)], listed: &[(u32, u64)]) -> Vec<(TenantId, Bytes)> {
        let listed = listed.iter().map(|&(pid, bytes)| (pid, Bytes(bytes))).collect();
        seen.news(GPU, users, &listed)
    }

    #[test]
    fn what_changes_is_told_once_and_who_is_not_listed_twice() {
        let mut seen = Seen::default();
        let users = [(ONE, 10), (TWO, 11)];
        assert_eq!(news(&mut seen, &users, &[(10, 500), (9, 3)]), [(ONE, Bytes(500)), (TWO, Bytes(0))]);
        assert_eq!(news(&mut seen, &users, &[(10, 500)]), [(TWO, Bytes(0))], "twice");
        assert_eq!(news(&mut seen, &users, &[(10, 500)]), []);
        assert_eq!(news(&mut seen, &users, &[(10, 500), (11, 7)]), [(TWO, Bytes(7))]);
        assert_eq!(news(&mut seen, &users, &[(11, 7)]), [(ONE, Bytes(0))]);
    }

    #[test]
    fn who_comes_where_others_are_shown_is_missing_until_it_is_shown_too() {
        let mut seen = Seen::default();
        assert!(!seen.begins(ONE, 10, GPU), "nobody is shown yet");
        news(&mut seen, &[(ONE, 10)], &[(10, 500)]);
        assert!(!seen.begins(TWO, 0, GPU), "whose pid cannot be seen");
        assert!(seen.begins(TWO, 11, GPU) && seen.is_missing(TWO, GPU));
        assert_eq!(news(&mut seen, &[(ONE, 10), (TWO, 11)], &[(10, 500), (11, 7)]), [(TWO, Bytes(7))]);
        assert!(!seen.is_missing(TWO, GPU));
    }

    #[test]
    fn pids_of_another_namespace_say_nothing() {
        let mut seen = Seen::default();
        assert_eq!(news(&mut seen, &[(ONE, 10)], &[(40_010, 500)]), []);
        assert_eq!(news(&mut seen, &[(ONE, 10)], &[]), []);
        assert_eq!(
            news(&mut seen, &[(ONE, 0), (TWO, 7)], &[(7, 5)]),
            [(TWO, Bytes(5))],
            "who cannot be seen"
        );
    }

    #[test]
    fn nothing_is_left_of_those_who_left() {
        let mut seen = Seen::default();
        news(&mut seen, &[(ONE, 10)], &[(10, 500)]);
        seen.forget(ONE, GPU);
        assert!(seen.told.is_empty());
        assert_eq!(news(&mut seen, &[(ONE, 10)], &[(10, 500)]), [(ONE, Bytes(500))], "news again");
    }
}
