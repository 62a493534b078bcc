//! Which devices the host knows, by the configuration and by NVML.
use crate::nvml::{Answer, Place};
use nvshare_protocol::{Bytes, DeviceId};
use std::collections::BTreeMap;

/// Whether the host knows a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostView {
    Listed,
    /// It knows other devices, and not this one.
    NotListed,
    /// It knows no devices, or perhaps not all.
    Undecided,
}

/// What the host knows. NVML's last answer stays in force while NVML is closed; MIG instances that are made meanwhile are
/// known with its next answer.
#[derive(Debug)]
pub struct Host {
    configured: BTreeMap<DeviceId, Bytes>,
    listed: NvmlList,
    seen: BTreeMap<DeviceId, Seen>,
}

/// What NVML tells of a device for operators alone; nothing depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub place: Option<Place>,
    /// In use by anybody; none: it does not tell.
    pub used: Option<Bytes>,
    /// Per cent; none: it does not tell.
    pub utilization: Option<u32>,
}

/// What NVML has said.
#[derive(Clone, Debug, PartialEq, Eq)]
enum NvmlList {
    /// Nothing yet.
    Awaited,
    /// It is not asked, or cannot be opened.
    Nothing,
    /// These devices, and there are no others where it is `complete`.
    Devices { totals: BTreeMap<DeviceId, Option<Bytes>>, complete: bool },
}

impl Host {
    /// Of what is configured, and of NVML if that is asked.
    pub fn new(configured: BTreeMap<DeviceId, Bytes>, asks: bool) -> Self {
        Self {
            configured,
            listed: if asks { NvmlList::Awaited } else { NvmlList::Nothing },
            seen: BTreeMap::new(),
        }
    }

    /// Whether NVML has not answered yet.
    pub fn is_awaited(&self) -> bool {
        self.listed == NvmlList::Awaited
    }

    /// Takes NVML's answer, and returns whether it changes anything. What an answer leaves out of a device stays in force.
    pub fn update(&mut self, answer: &Answer) -> bool {
        let before = self.listed.clone();
        self.look(answer);
        match (answer, &mut self.listed) {
            (Answer::Inventory(new), listed) => {
                let known = match listed {
                    NvmlList::Devices { totals, .. } => std::mem::take(totals),
                    NvmlList::Awaited | NvmlList::Nothing => BTreeMap::new(),
                };
                let mut totals = if new.complete { BTreeMap::new() } else { known.clone() };
                for found in &new.devices {
                    let total = found.total.or_else(|| known.get(&found.device).copied().flatten());
                    totals.insert(found.device, total);
                }
                *listed = NvmlList::Devices { totals, complete: new.complete };
            }
            (Answer::Unavailable, NvmlList::Devices { .. }) => {}
            (Answer::Unavailable, listed) => *listed = NvmlList::Nothing,
        }
        self.listed != before
    }

    /// Takes what is for operators. What was in use is not known any more when NVML is closed; where a device is, is.
    fn look(&mut self, answer: &Answer) {
        let Answer::Inventory(new) = answer else {
            return self.seen.values_mut().for_each(|seen| (seen.used, seen.utilization) = (None, None));
        };
        if new.complete {
            self.seen.retain(|device, _| new.devices.iter().any(|found| found.device == *device));
        }
        for found in &new.devices {
            let seen = self.seen.entry(found.device).or_default();
            (seen.used, seen.utilization) = (found.used, found.utilization);
            seen.place = found.place.clone().or(seen.place.take());
        }
    }

    /// What NVML tells of the device for operators.
    pub fn seen(&self, device: DeviceId) -> Option<&Seen> {
        self.seen.get(&device)
    }

    /// Whether it knows the device.
    pub fn view(&self, device: DeviceId) -> HostView {
        let listed = matches!(&self.listed, NvmlList::Devices { totals, .. } if totals.contains_key(&device));
        if listed || self.configured.contains_key(&device) { HostView::Listed } else { self.view_of_others() }
    }

    /// The view of every device that it does not know.
    pub fn view_of_others(&self) -> HostView {
        match &self.listed {
            NvmlList::Devices { totals, complete } if !totals.is_empty() => {
                if *complete {
                    HostView::NotListed
                } else {
                    HostView::Undecided
                }
            }
            _ if self.configured.is_empty() => HostView::Undecided,
            _ => HostView::NotListed,
        }
    }

    pub fn configured(&self, device: DeviceId) -> Option<Bytes> {
        self.configured.get(&device).copied()
    }

    /// Its memory, by NVML.
    pub fn total(&self, device: DeviceId) -> Option<Bytes> {
        match &self.listed {
            NvmlList::Devices { totals, .. } => totals.get(&device).copied().flatten(),
            NvmlList::Awaited | NvmlList::Nothing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nvml::{DeviceReport, Inventory};

    const ONE: DeviceId = DeviceId([1; 16]);
    const TWO: DeviceId = DeviceId([2; 16]);

    fn inventory(complete: bool, devices: &[(DeviceId, Option<u64>)]) -> Answer {
        let found = |&(device, total): &(DeviceId, Option<u64>)| DeviceReport {
            device,
            total: total.map(Bytes),
            used: None,
            processes: None,
            utilization: None,
            place: None,
        };
        Answer::Inventory(Inventory { question: 0, complete, devices: devices.iter().map(found).collect() })
    }

    fn words(host: &Host) -> [HostView; 2] {
        [host.view(ONE), host.view(TWO)]
    }

    #[test]
    fn a_host_that_knows_one_device_does_not_know_another() {
        use HostView::{Listed, NotListed, Undecided};
        let configured = BTreeMap::from([(ONE, Bytes(1))]);
        for (configured, answer, expected) in [
            (BTreeMap::new(), None, [Undecided, Undecided]),
            (BTreeMap::new(), Some(Answer::Unavailable), [Undecided, Undecided]),
            (BTreeMap::new(), Some(inventory(true, &[])), [Undecided, Undecided]),
            (BTreeMap::new(), Some(inventory(true, &[(ONE, None)])), [Listed, NotListed]),
            (BTreeMap::new(), Some(inventory(false, &[(ONE, None)])), [Listed, Undecided]),
            (configured.clone(), None, [Listed, NotListed]),
            (configured.clone(), Some(Answer::Unavailable), [Listed, NotListed]),
            (configured.clone(), Some(inventory(true, &[])), [Listed, NotListed]),
            (configured, Some(inventory(true, &[(TWO, None)])), [Listed, Listed]),
        ] {
            let mut host = Host::new(configured, true);
            answer.inspect(|answer| assert!(host.update(answer)));
            assert_eq!(words(&host), expected, "{host:?}");
        }
    }

    #[test]
    fn what_was_said_of_a_device_stays_until_it_is_gone() {
        let mut host = Host::new(BTreeMap::new(), true);
        assert!(host.is_awaited());
        assert!(host.update(&inventory(true, &[(ONE, Some(5)), (TWO, Some(6))])));
        assert!(!host.update(&inventory(true, &[(ONE, None), (TWO, Some(6))])), "no news");
        assert!(!host.update(&Answer::Unavailable), "it was closed in trouble");
        assert_eq!((host.total(ONE), host.total(TWO)), (Some(Bytes(5)), Some(Bytes(6))));
        assert!(host.update(&inventory(false, &[(TWO, Some(7))])));
        assert_eq!((host.total(ONE), host.total(TWO)), (Some(Bytes(5)), Some(Bytes(7))));
        assert!(host.update(&inventory(true, &[(TWO, Some(7))])));
        assert_eq!(words(&host), [HostView::NotListed, HostView::Listed]);
    }

    #[test]
    fn where_a_device_is_stays_known_and_what_is_used_does_not() {
        let place = |index| Some(Place { index, bus_id: format!("00000000:{index}9:00.0") });
        let report = |device, place, used: Option<u64>| DeviceReport {
            device,
            total: None,
            used: used.map(Bytes),
            processes: None,
            utilization: used.map(|_| 7),
            place,
        };
        let answer = |devices, complete| Answer::Inventory(Inventory { devices, complete, question: 0 });
        let mut host = Host::new(BTreeMap::new(), true);
        assert_eq!(host.seen(ONE), None);
        host.update(&answer(vec![report(ONE, place(1), Some(5)), report(TWO, place(0), None)], true));
        let seen = Seen { place: place(1), used: Some(Bytes(5)), utilization: Some(7) };
        assert_eq!(host.seen(ONE), Some(&seen));
        let both = vec![report(ONE, None, Some(6)), report(TWO, None, None)];
        assert!(!host.update(&answer(both, true)), "no news for the core");
        assert_eq!(host.seen(ONE), Some(&Seen { used: Some(Bytes(6)), ..seen.clone() }));
        host.update(&Answer::Unavailable);
        assert_eq!(host.seen(ONE), Some(&Seen { used: None, utilization: None, ..seen }));
        host.update(&answer(vec![report(ONE, None, None)], true));
        assert_eq!(host.seen(TWO), None);
    }
}
