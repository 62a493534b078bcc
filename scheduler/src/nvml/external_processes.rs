//! What the processes on a device that are no tenants use together.
use nvshare_protocol::{Bytes, DeviceId};
use std::collections::{HashMap, HashSet};

/// What was reported last.
#[derive(Debug, Default)]
pub struct ExternalProcesses {
    reported: HashMap<DeviceId, Bytes>,
}

impl ExternalProcesses {
    /// What external processes use of the device now, if that has changed. `listed` is what each process uses, `tenants` are
    /// the pids of all tenants, `users` those of the tenants that use this device.
    ///
    /// If none of the users is listed, the pids are those of another namespace, or the users have no context: then nothing is
    /// known of the others.
    pub fn changed(
        &mut self,
        device: DeviceId,
        listed: &HashMap<u32, Bytes>,
        tenants: &HashSet<u32>,
        mut users: impl Iterator<Item = u32>,
    ) -> Option<Bytes> {
        if !users.any(|pid| listed.contains_key(&pid)) {
            return None;
        }
        let others = listed.iter().filter(|(pid, _)| !tenants.contains(pid));
        let bytes = others.fold(Bytes::ZERO, |sum, (_, bytes)| sum.saturating_add(*bytes));
        let before = self.reported.insert(device, bytes).unwrap_or_default();
        (before != bytes).then_some(bytes)
    }

    /// Forgets the device, which no tenant uses any more. Returns whether external processes used it.
    pub fn forget(&mut self, device: DeviceId) -> bool {
        self.reported.remove(&device).is_some_and(|bytes| bytes > Bytes::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPU: DeviceId = DeviceId([1; 16]);

    fn listed(processes: &[(u32, u64)]) -> HashMap<u32, Bytes> {
        processes.iter().map(|&(pid, bytes)| (pid, Bytes(bytes))).collect()
    }

    fn changed(
        external_processes: &mut ExternalProcesses,
        processes: &[(u32, u64)],
        users: &[u32],
    ) -> Option<Bytes> {
        let tenants = HashSet::from([10, 11]);
        external_processes.changed(GPU, &listed(processes), &tenants, users.iter().copied())
    }

    #[test]
    fn those_that_are_no_tenants_are_summed_up_and_told_once() {
        let mut external_processes = ExternalProcesses::default();
        let mut after = |processes: &[(u32, u64)]| changed(&mut external_processes, processes, &[10]);
        assert_eq!(after(&[(10, 500)]), None, "nothing, as before");
        assert_eq!(after(&[(10, 500), (11, 400), (12, 30), (13, 4)]), Some(Bytes(34)));
        assert_eq!(after(&[(10, 900), (12, 30), (13, 4)]), None, "no news");
        assert_eq!(after(&[(10, 900)]), Some(Bytes(0)));
    }

    #[test]
    fn pids_among_which_no_tenant_is_say_nothing() {
        let mut external_processes = ExternalProcesses::default();
        assert_eq!(changed(&mut external_processes, &[(40_010, 500)], &[10]), None);
        assert_eq!(changed(&mut external_processes, &[], &[]), None);
    }

    #[test]
    fn what_was_forgotten_is_news_again() {
        let mut external_processes = ExternalProcesses::default();
        let tell = |external_processes: &mut ExternalProcesses| {
            changed(external_processes, &[(10, 1), (9, 7)], &[10])
        };
        assert_eq!((tell(&mut external_processes), tell(&mut external_processes)), (Some(Bytes(7)), None));
        assert!(external_processes.forget(GPU));
        assert_eq!(tell(&mut external_processes), Some(Bytes(7)));
    }
}
