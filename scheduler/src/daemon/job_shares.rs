//! How the processes of a Slurm job share what their job may.
use nvshare_protocol::Bytes;
use nvshare_protocol::job_rules::JobRules;

/// What holds for a tenant as a process of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobMember {
    /// Of its step.
    pub rules: JobRules,
    /// What its whole job may on each GPU; none: no more is known than its step's limit.
    pub whole: Option<Bytes>,
    /// What is left to it of that; none: there is no limit.
    pub share: Option<Bytes>,
    /// Nobody of its job had more than its share when that was reckoned.
    pub settled: bool,
}

impl JobMember {
    /// Whether its job's shares stay what they are now that it has so much: nobody takes from the others. Each of many
    /// processes of a job tells of its memory many times a second; what all of them have is looked at only where it counts.
    pub fn stays(&self, has: Bytes) -> bool {
        self.settled && self.share.is_some_and(|share| has <= share)
    }
}

/// One of those that share.
#[derive(Clone, Copy, Debug)]
pub struct Sharer {
    /// The most that it may have by its step and its own wish.
    pub most: Bytes,
    /// What it has, on the GPU where it has most.
    pub has: Bytes,
}

/// What each may allocate, so that all together stay below `ceiling`: as much as each wants if there is enough, else equal
/// parts of what those who want less leave. Who has more than that keeps it and gets no more; the others wait for it.
pub fn shares(ceiling: Bytes, sharers: &[Sharer]) -> Vec<Bytes> {
    let mut order: Vec<usize> = (0..sharers.len()).collect();
    order.sort_by_key(|at| sharers[*at].most);
    let mut shares = vec![Bytes::ZERO; sharers.len()];
    let mut left = ceiling;
    for (done, at) in order.iter().enumerate() {
        let part = Bytes(left.0 / (sharers.len() - done) as u64);
        shares[*at] = part.min(sharers[*at].most);
        left = left.saturating_sub(shares[*at]);
    }
    let all_wants = sharers.iter().fold(Bytes::ZERO, |sum, sharer| sum.saturating_add(sharer.most));
    if all_wants <= ceiling {
        return shares;
    }
    let over = sharers
        .iter()
        .zip(&shares)
        .fold(Bytes::ZERO, |sum, (sharer, share)| sum.saturating_add(sharer.has.saturating_sub(*share)));
    let is_under = |at: usize| sharers[at].has <= shares[at];
    (0..sharers.len())
        .map(|at| if is_under(at) { shares[at].saturating_sub(over) } else { shares[at] })
        .collect()
}

/// Whether nobody has more than its share. Then only one who comes to have more changes what the others get.
pub fn settled(sharers: &[Sharer], shares: &[Bytes]) -> bool {
    sharers.iter().zip(shares).all(|(sharer, share)| sharer.has <= *share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gib(ceiling: u64, sharers: &[(u64, u64)]) -> Vec<u64> {
        let sharers: Vec<Sharer> = sharers
            .iter()
            .map(|&(most, has)| Sharer { most: Bytes(most << 30), has: Bytes(has << 30) })
            .collect();
        shares(Bytes(ceiling << 30), &sharers).into_iter().map(|share| share.0 >> 30).collect()
    }

    #[test]
    fn the_processes_of_a_job_share_what_the_job_may() {
        for (ceiling, sharers, expected) in [
            (8, &[(8, 0)][..], &[8][..]),
            (8, &[(8, 0), (8, 0)], &[4, 4]),
            (8, &[(2, 0), (8, 0)], &[2, 6]),
            (8, &[(2, 2), (3, 3)], &[2, 3]),
            (9, &[(8, 0), (1, 0), (8, 0)], &[4, 1, 4]),
            // The first had all when the second came.
            (8, &[(8, 8), (8, 0)], &[4, 0]),
            (8, &[(8, 5), (8, 0)], &[4, 3]),
            (8, &[(8, 4), (8, 4)], &[4, 4]),
            (8, &[], &[]),
        ] {
            assert_eq!(gib(ceiling, sharers), expected, "{ceiling} {sharers:?}");
        }
    }

    /// Whatever each has and wants: what they have and what they may still get is never more than the job's, but for what
    /// they had before.
    #[test]
    fn together_they_get_no_more_than_their_job_may() {
        for ceiling in 0..6 {
            for seed in 0..6_u64.pow(4) {
                let sharers = [(seed % 6, seed / 6 % 6), (seed / 36 % 6, seed / 216 % 6)];
                let after: u64 =
                    gib(ceiling, &sharers).iter().zip(&sharers).map(|(share, (_, has))| share.max(has)).sum();
                let had: u64 = sharers.iter().map(|(_, has)| has).sum();
                let wanted: u64 = sharers.iter().map(|(most, _)| *most).sum();
                assert!(after <= ceiling.max(had) || wanted <= ceiling, "{ceiling} {sharers:?}: {after}");
            }
        }
    }

    /// What is not reckoned anew would be the same: whatever one has below its share, where all were below theirs.
    #[test]
    fn where_all_are_below_their_shares_memory_changes_none() {
        let seen = |ceiling, sharers: &[Sharer]| shares(Bytes(ceiling), sharers);
        let mut looked_at = 0;
        for ceiling in 0..6 {
            for seed in 0..6_u64.pow(4) {
                let mut sharers = [(seed % 6, seed / 6 % 6), (seed / 36 % 6, seed / 216 % 6)]
                    .map(|(most, has)| Sharer { most: Bytes(most), has: Bytes(has) });
                let before = seen(ceiling, &sharers);
                if !settled(&sharers, &before) {
                    continue;
                }
                for has in 0..=before[0].0 {
                    sharers[0].has = Bytes(has);
                    assert_eq!(seen(ceiling, &sharers), before, "{ceiling} {sharers:?}");
                    looked_at += 1;
                }
            }
        }
        assert!(looked_at > 1000);
    }

    #[test]
    fn who_has_more_than_its_share_is_looked_at() {
        let member = |settled| JobMember {
            rules: nvshare_protocol::job_rules::JobRules::parse("NVSHARE_MEM_LIMIT=4GiB"),
            whole: None,
            share: Some(Bytes(4)),
            settled,
        };
        assert!(member(true).stays(Bytes(4)));
        assert!(!member(true).stays(Bytes(5)));
        assert!(!member(false).stays(Bytes(1)));
        assert!(!JobMember { share: None, ..member(true) }.stays(Bytes(0)));
    }

    /// What docs/guide/slurm.md says of processes that begin at the same moment: each allocates all that it is promised before
    /// it is told of the next one, and before the scheduler knows what it has. Then nobody gets more until enough is freed.
    #[test]
    fn those_that_begin_together_have_no_more_than_the_guide_says() {
        let ceiling = 8 * 9 * 5 * 7;
        for processes in 1..=8_u64 {
            let none = Sharer { most: Bytes(ceiling), has: Bytes::ZERO };
            let promised: Vec<u64> = (1..=processes)
                .map(|nth| shares(Bytes(ceiling), &vec![none; nth as usize])[nth as usize - 1].0)
                .collect();
            let bound: u64 = (1..=processes).map(|nth| ceiling / nth).sum();
            assert!(promised.iter().sum::<u64>() <= bound, "{promised:?}");
            let known: Vec<Sharer> = promised.iter().map(|has| Sharer { has: Bytes(*has), ..none }).collect();
            let more = shares(Bytes(ceiling), &known)
                .iter()
                .zip(&promised)
                .filter(|(share, has)| share.0 > **has)
                .count();
            assert_eq!(more, 0, "{promised:?}");
        }
    }
}
