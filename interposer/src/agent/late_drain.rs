//! What is said of work that does not end when its turn is over.
use super::long_wait::SAY_AGAIN;
use crate::settings::Gang;
use nvshare_protocol::LeaseId;
use nvshare_protocol::tenant::Revoke;
use std::time::Instant;

/// A job of several processes is asked so often before anything is wrong: the first attempts meet its processes at
/// different calls.
const ATTEMPTS: u32 = 6;

#[derive(Debug, Default)]
pub struct LateDrain {
    /// The lease that was to be given back last, and how often that was tried.
    lease: Option<(LeaseId, u32)>,
    said: Option<Instant>,
    reported: bool,
}

impl LateDrain {
    /// The work has not ended in time. What the program's user is told, if anything: once, and then rarely, for it is
    /// asked again and again, also where it has no turn any more.
    pub fn warning(&mut self, gang: Option<&Gang>, revoke: &Revoke, now: Instant) -> Option<String> {
        let lease = revoke.lease;
        let attempts = match self.lease {
            Some((known, attempts)) if known == lease => attempts.saturating_add(1),
            _ => 1,
        };
        self.lease = Some((lease, attempts));
        let is_soon = self.said.is_some_and(|said| now < said + SAY_AGAIN);
        if is_soon || gang.is_some() && attempts < ATTEMPTS {
            return None;
        }
        self.said = Some(now);
        let after = match gang {
            Some(_) => format!("in {attempts} attempts to give the GPU back"),
            None => format!("within {:.1} s of a revocation", revoke.drain_within.as_secs_f64()),
        };
        let elsewhere = if waits_elsewhere(gang) { format!(". {ELSEWHERE}") } else { String::new() };
        let often = SAY_AGAIN.as_secs() / 60;
        Some(format!(
            "work did not end {after}: it keeps the GPU for now{elsewhere} (said every {often} minutes at most)"
        ))
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
    use std::time::Duration;

    fn revoke(lease: u64) -> Revoke {
        let drain_within = Nanos::from_millis(2_500);
        Revoke { lease: LeaseId(lease), evict: Vec::new(), drain_within }
    }

    fn gang(is_elsewhere: bool) -> Gang {
        Gang { name: "job".into(), size: Some(2), is_elsewhere }
    }

    /// Where its job cannot go on, it is asked again and again, with a new turn and without one.
    #[test]
    fn it_is_told_once_and_then_rarely() {
        let mut late = LateDrain::default();
        let start = Instant::now();
        let mut said = Vec::new();
        for second in 0..3600 {
            let (lease, now) = (revoke(1 + second / 40), start + Duration::from_secs(second));
            said.extend(late.warning(None, &lease, now).map(|text| (second, text)));
        }
        let seconds: Vec<u64> = said.iter().map(|(second, _)| *second).collect();
        assert_eq!(seconds, [0, 600, 1200, 1800, 2400, 3000]);
        let first = "work did not end within 2.5 s of a revocation: it keeps the GPU for now (said every 10 minutes at most)";
        assert_eq!(said[0].1, first);
        assert_eq!(late.report(None), None);
    }

    /// Its processes meet only while all of them go on: that an attempt fails is nothing unusual.
    #[test]
    fn of_a_job_the_sixth_attempt_is_told_and_no_earlier_one() {
        let mut late = LateDrain::default();
        let (gang, now) = (gang(false), Instant::now());
        let mut told = |lease, now| -> Vec<bool> {
            (0..8).map(|_| late.warning(Some(&gang), &revoke(lease), now).is_some()).collect()
        };
        let sixth = [false, false, false, false, false, true, false, false];
        assert_eq!(told(1, now), sixth);
        assert_eq!(told(2, now + Duration::from_secs(60)), [false; 8], "too soon");
        assert_eq!(told(3, now + SAY_AGAIN), sixth);
        let mut late = LateDrain::default();
        let said = (0..8).find_map(|_| late.warning(Some(&gang), &revoke(1), now)).unwrap();
        let expected = "work did not end in 6 attempts to give the GPU back: it keeps the GPU for now (said every 10 minutes at most)";
        assert_eq!(said, expected);
        assert_eq!(late.report(Some(&gang)), None);
    }

    #[test]
    fn a_process_on_another_host_is_named_as_what_may_hold_it_up() {
        let mut late = LateDrain::default();
        let gang = gang(true);
        let said = (0..8).find_map(|_| late.warning(Some(&gang), &revoke(1), Instant::now())).unwrap();
        assert!(said.contains("a process of its job on another host may hold it up"), "{said}");
        assert!(late.report(Some(&gang)).unwrap().contains("on another host"));
        assert_eq!(late.report(Some(&gang)), None, "once");
    }
}
