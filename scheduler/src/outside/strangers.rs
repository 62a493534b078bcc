//! Which of the processes on a device are not tenants, and what they use together.
use super::Usage;
use nvshare_protocol::{Bytes, DeviceId};
use std::collections::{BTreeSet, HashMap};

/// What was told last.
#[derive(Debug, Default)]
pub struct Strangers {
    told: HashMap<DeviceId, Bytes>,
}

impl Strangers {
    /// What programs outside use of the device now, if that is news. `tenants` are the pids of all tenants, `users` of
    /// those that use this device.
    ///
    /// Where none of the users is among the processes, the pids are those of another namespace, or the users have no
    /// context: nothing can be said of the others.
    pub fn news(&mut self, usage: &Usage, tenants: &BTreeSet<u32>, users: &[u32]) -> Option<Bytes> {
        let listed = |pid: &u32| usage.processes.iter().any(|(other, _)| other == pid);
        if !users.iter().any(listed) {
            return None;
        }
        let others = usage.processes.iter().filter(|(pid, _)| !tenants.contains(pid));
        let bytes = others.fold(Bytes::ZERO, |sum, (_, bytes)| sum.saturating_add(*bytes));
        let before = self.told.insert(usage.device, bytes).unwrap_or_default();
        (before != bytes).then_some(bytes)
    }

    /// Nobody uses the device any more: what was told of it may be forgotten.
    pub fn forget(&mut self, device: DeviceId) -> bool {
        self.told.remove(&device).is_some_and(|bytes| bytes > Bytes::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPU: DeviceId = DeviceId([1; 16]);

    fn usage(processes: &[(u32, u64)]) -> Usage {
        let processes = processes.iter().map(|&(pid, bytes)| (pid, Bytes(bytes))).collect();
        Usage { device: GPU, processes }
    }

    #[test]
    fn those_that_are_no_tenants_are_summed_up_and_told_once() {
        let mut strangers = Strangers::default();
        let tenants = BTreeSet::from([10, 11]);
        let mut news = |processes: &[(u32, u64)]| strangers.news(&usage(processes), &tenants, &[10]);
        assert_eq!(news(&[(10, 500)]), None, "nothing, as before");
        assert_eq!(news(&[(10, 500), (11, 400), (12, 30), (13, 4)]), Some(Bytes(34)));
        assert_eq!(news(&[(10, 900), (12, 30), (13, 4)]), None, "no news");
        assert_eq!(news(&[(10, 900)]), Some(Bytes(0)));
    }

    #[test]
    fn pids_among_which_no_tenant_is_say_nothing() {
        let mut strangers = Strangers::default();
        let tenants = BTreeSet::from([10]);
        assert_eq!(strangers.news(&usage(&[(40_010, 500)]), &tenants, &[10]), None);
        assert_eq!(strangers.news(&usage(&[]), &tenants, &[]), None);
    }

    #[test]
    fn what_was_forgotten_is_news_again() {
        let mut strangers = Strangers::default();
        let tenants = BTreeSet::from([10]);
        let tell = |strangers: &mut Strangers| strangers.news(&usage(&[(10, 1), (9, 7)]), &tenants, &[10]);
        assert_eq!((tell(&mut strangers), tell(&mut strangers)), (Some(Bytes(7)), None));
        assert!(strangers.forget(GPU));
        assert_eq!(tell(&mut strangers), Some(Bytes(7)));
    }
}
