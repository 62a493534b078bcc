//! What the driver shows that each tenant's process uses of a device, as far as it is news.
use nvshare_core::event::TenantId;
use nvshare_protocol::{Bytes, DeviceId};
use std::collections::HashMap;

/// What was told last.
#[derive(Debug, Default)]
pub struct Seen {
    told: HashMap<DeviceId, HashMap<TenantId, Bytes>>,
}

impl Seen {
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
        now.filter(|(tenant, bytes)| told.insert(*tenant, *bytes) != Some(*bytes)).collect()
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
    fn what_changes_is_told_once_and_who_is_not_listed_uses_nothing() {
        let mut seen = Seen::default();
        let users = [(ONE, 10), (TWO, 11)];
        assert_eq!(news(&mut seen, &users, &[(10, 500), (9, 3)]), [(ONE, Bytes(500)), (TWO, Bytes(0))]);
        assert_eq!(news(&mut seen, &users, &[(10, 500)]), []);
        assert_eq!(news(&mut seen, &users, &[(10, 500), (11, 7)]), [(TWO, Bytes(7))]);
        assert_eq!(news(&mut seen, &users, &[(11, 7)]), [(ONE, Bytes(0))]);
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
