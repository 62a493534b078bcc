//! What each tenant's process uses of a device, by NVML, and what of that has changed.
use nvshare_core::event::TenantId;
use nvshare_protocol::{Bytes, DeviceId};
use std::collections::HashMap;

/// What was told last.
#[derive(Debug, Default)]
pub struct ProcessUsage {
    reported: HashMap<DeviceId, HashMap<TenantId, Report>>,
}

/// What was told of a tenant, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Report {
    bytes: Bytes,
    times: u8,
}

impl Report {
    /// The absence of a process is reported twice: at the first time its context may have been too new.
    fn is_whole(self) -> bool {
        self.bytes > Bytes::ZERO || self.times > 1
    }
}

impl ProcessUsage {
    /// The tenant uses the device from now on. Returns whether NVML shows others there: then the tenant's process counts as
    /// absent until NVML shows it too.
    pub fn attach(&mut self, tenant: TenantId, pid: u32, device: DeviceId) -> bool {
        let Some(reported) = self.reported.get_mut(&device).filter(|_| pid != 0) else { return false };
        let shows = reported.values().any(|report| report.bytes > Bytes::ZERO);
        if shows {
            reported.insert(tenant, Report { bytes: Bytes::ZERO, times: 1 });
        }
        shows
    }

    /// Whether the tenant's process was not on the device when it was looked at last.
    #[must_use]
    pub fn is_missing(&self, tenant: TenantId, device: DeviceId) -> bool {
        let reported = self.reported.get(&device).and_then(|reported| reported.get(&tenant));
        reported.is_some_and(|report| report.bytes == Bytes::ZERO)
    }

    /// What has changed for the `users` of the device, which are given with their pids; `listed` is what each process uses.
    /// A process that is not listed uses nothing, if another user is listed. If no user is listed, nothing is known: the pids
    /// are those of another namespace, or nobody has a context.
    pub fn changed(
        &mut self,
        device: DeviceId,
        users: &[(TenantId, u32)],
        listed: &HashMap<u32, Bytes>,
    ) -> Vec<(TenantId, Bytes)> {
        if !users.iter().any(|(_, pid)| listed.contains_key(pid)) {
            return Vec::new();
        }
        let reported = self.reported.entry(device).or_default();
        // The pid of a process that this one cannot see is 0.
        let visible = users.iter().filter(|(_, pid)| *pid != 0);
        let now = visible.map(|(tenant, pid)| (*tenant, listed.get(pid).copied().unwrap_or_default()));
        let is_news = |&(tenant, bytes): &(TenantId, Bytes)| {
            let before = reported.get(&tenant).copied().filter(|report| report.bytes == bytes);
            let times = before.map_or(1, |report| report.times.saturating_add(1));
            reported.insert(tenant, Report { bytes, times });
            before.is_none_or(|report| !report.is_whole())
        };
        now.filter(is_news).collect()
    }

    /// The tenant does not use the device any more.
    pub fn forget(&mut self, tenant: TenantId, device: DeviceId) {
        if let Some(reported) = self.reported.get_mut(&device) {
            reported.remove(&tenant);
            if reported.is_empty() {
                self.reported.remove(&device);
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

    fn news(
        usage: &mut ProcessUsage,
        users: &[(TenantId, u32)],
        listed: &[(u32, u64)],
    ) -> Vec<(TenantId, Bytes)> {
        let listed = listed.iter().map(|&(pid, bytes)| (pid, Bytes(bytes))).collect();
        usage.changed(GPU, users, &listed)
    }

    #[test]
    fn what_changes_is_told_once_and_who_is_not_listed_twice() {
        let mut usage = ProcessUsage::default();
        let users = [(ONE, 10), (TWO, 11)];
        assert_eq!(news(&mut usage, &users, &[(10, 500), (9, 3)]), [(ONE, Bytes(500)), (TWO, Bytes(0))]);
        assert_eq!(news(&mut usage, &users, &[(10, 500)]), [(TWO, Bytes(0))], "twice");
        assert_eq!(news(&mut usage, &users, &[(10, 500)]), []);
        assert_eq!(news(&mut usage, &users, &[(10, 500), (11, 7)]), [(TWO, Bytes(7))]);
        assert_eq!(news(&mut usage, &users, &[(11, 7)]), [(ONE, Bytes(0))]);
    }

    #[test]
    fn who_comes_where_others_are_shown_is_missing_until_it_is_shown_too() {
        let mut usage = ProcessUsage::default();
        assert!(!usage.attach(ONE, 10, GPU), "nobody is shown yet");
        news(&mut usage, &[(ONE, 10)], &[(10, 500)]);
        assert!(!usage.attach(TWO, 0, GPU), "whose pid cannot be seen");
        assert!(usage.attach(TWO, 11, GPU) && usage.is_missing(TWO, GPU));
        assert_eq!(news(&mut usage, &[(ONE, 10), (TWO, 11)], &[(10, 500), (11, 7)]), [(TWO, Bytes(7))]);
        assert!(!usage.is_missing(TWO, GPU));
    }

    #[test]
    fn pids_of_another_namespace_say_nothing() {
        let mut usage = ProcessUsage::default();
        assert_eq!(news(&mut usage, &[(ONE, 10)], &[(40_010, 500)]), []);
        assert_eq!(news(&mut usage, &[(ONE, 10)], &[]), []);
        assert_eq!(
            news(&mut usage, &[(ONE, 0), (TWO, 7)], &[(7, 5)]),
            [(TWO, Bytes(5))],
            "who cannot be seen"
        );
    }

    #[test]
    fn nothing_is_left_of_those_who_left() {
        let mut usage = ProcessUsage::default();
        news(&mut usage, &[(ONE, 10)], &[(10, 500)]);
        usage.forget(ONE, GPU);
        assert!(usage.reported.is_empty());
        assert_eq!(news(&mut usage, &[(ONE, 10)], &[(10, 500)]), [(ONE, Bytes(500))], "news again");
    }
}
