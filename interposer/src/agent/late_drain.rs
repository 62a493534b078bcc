//! What is said of work that does not end when its turn is over.
use crate::settings::Gang;
use nvshare_protocol::LeaseId;
use nvshare_protocol::tenant::Revoke;

/// A job of several processes is asked so often before anything is wrong: the first attempts meet its processes at
/// different calls.
const ATTEMPTS: u32 = 6;

#[derive(Debug, Default)]
pub struct LateDrain {
    /// The lease that was to be given back last, and how often that was tried.
    lease: Option<(LeaseId, u32)>,
    reported: bool,
}

impl LateDrain {
    /// The work has not ended in time. What the program's user is told, if anything.
    pub fn warning(&mut self, gang: Option<&Gang>, revoke: &Revoke) -> Option<String> {
        let lease = revoke.lease;
        let attempts = match self.lease {
            Some((known, attempts)) if known == lease => attempts.saturating_add(1),
            _ => 1,
        };
        self.lease = Some((lease, attempts));
        let after = match gang {
            Some(_) if attempts != ATTEMPTS => return None,
            Some(_) => format!("in {attempts} attempts to give the GPU back"),
            None => format!("within {:.1} s of a revocation", revoke.drain_within.as_secs_f64()),
        };
        let elsewhere = if waits_elsewhere(gang) { format!(". {ELSEWHERE}") } else { String::new() };
        Some(format!("work did not end {after}: it keeps the GPU for now{elsewhere}"))
    }

    /// What operators are told besides, once.
    pub fn report(&mut self, gang: Option<&Gang>) -> Option<String> {
        let tells = waits_elsewhere(gang) && !std::mem::replace(&mut self.reported, true);
        tells.then(|| format!("its work does not end when its turn does: {ELSEWHERE}"))
    }
}

const ELSEWHERE: &str = "a process of its job on another host may hold it up, which has no turn there (hosts do not coordinate turns)";

fn waits_elsewhere(gang: Option<&Gang>) -> bool {
    gang.is_some_and(|gang| gang.is_elsewhere)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvshare_protocol::Nanos;

    fn revoke(lease: u64) -> Revoke {
        let drain_within = Nanos::from_millis(2_500);
        Revoke { lease: LeaseId(lease), evict: Vec::new(), drain_within }
    }

    fn gang(is_elsewhere: bool) -> Gang {
        Gang { name: "job".into(), size: Some(2), is_elsewhere }
    }

    #[test]
    fn one_process_is_told_of_each_time() {
        let mut late = LateDrain::default();
        for _ in 0..2 {
            let said = late.warning(None, &revoke(1)).unwrap();
            assert_eq!(said, "work did not end within 2.5 s of a revocation: it keeps the GPU for now");
        }
        assert_eq!(late.report(None), None);
    }

    /// Its processes meet only while all of them go on: that an attempt fails is nothing unusual.
    #[test]
    fn of_a_job_the_sixth_attempt_is_told_and_no_other() {
        let mut late = LateDrain::default();
        let gang = gang(false);
        for lease in [1, 2] {
            let said: Vec<_> = (0..8).map(|_| late.warning(Some(&gang), &revoke(lease))).collect();
            let told: Vec<_> = said.iter().map(Option::is_some).collect();
            assert_eq!(told, [false, false, false, false, false, true, false, false]);
            let expected = "work did not end in 6 attempts to give the GPU back: it keeps the GPU for now";
            assert_eq!(said[5].as_deref(), Some(expected));
        }
        assert_eq!(late.report(Some(&gang)), None);
    }

    #[test]
    fn a_process_on_another_host_is_named_as_what_may_hold_it_up() {
        let mut late = LateDrain::default();
        let gang = gang(true);
        let said = (0..8).find_map(|_| late.warning(Some(&gang), &revoke(1))).unwrap();
        assert!(said.contains("a process of its job on another host may hold it up"), "{said}");
        assert!(late.report(Some(&gang)).unwrap().contains("on another host"));
        assert_eq!(late.report(Some(&gang)), None, "once");
    }
}
