//! Jobs of Slurm: what a step may by its file, and how the processes of a job share what their job may.
use super::reactor::Daemon;
use super::tenant_rules;
use crate::identity::{Identity, Owner};
use nvshare_core::event::TenantId;
use nvshare_protocol::job_rules::JobRules;
use nvshare_protocol::{Bytes, DeviceId};

/// What holds for a tenant as a process of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobMember {
    /// Of its step.
    pub rules: JobRules,
    /// What its whole job may on each GPU; none: no more is known than its step's limit.
    whole: Option<Bytes>,
    /// What is left to it of that; none: there is no limit.
    pub share: Option<Bytes>,
}

/// What a process that joins may, by the files of its step and job; none: it is of no job, or of one that Slurm's plugin
/// has said nothing of.
pub fn member(daemon: &Daemon, who: &Identity) -> Option<JobMember> {
    let (step, files) = (who.step()?, &daemon.shared.host.jobs);
    let rules = files.rules(step)?;
    let whole = files.of_whole_job(step).and_then(|rules| rules.limit);
    Some(JobMember { rules, whole, share: rules.limit })
}

/// One of those that share.
#[derive(Clone, Copy, Debug)]
struct Sharer {
    /// The most that it may have by its step and its own wish.
    most: Bytes,
    /// What it has, on the GPU where it has most.
    has: Bytes,
}

/// What each may allocate, so that all together stay below `ceiling`: as much as each wants if there is enough, else equal
/// parts of what those who want less leave. Who has more than that keeps it and gets no more; the others wait for it.
fn shares(ceiling: Bytes, sharers: &[Sharer]) -> Vec<Bytes> {
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

/// Shares out anew what a job may, among its present processes and `joining`, if there is one, whose share is returned.
/// Those for whom it is another limit than before are told.
pub fn share_out(
    daemon: &mut Daemon,
    job: Option<Owner>,
    joining: Option<(&JobMember, Option<Bytes>)>,
) -> Option<Bytes> {
    let job = job?;
    let of_job = daemon.members.all().filter(|(_, member)| member.who.container_key() == Some(job));
    let present: Vec<(TenantId, JobMember, Option<Bytes>)> =
        of_job.filter_map(|(tenant, member)| Some((tenant, member.job?, member.hello.limit))).collect();
    let everybody = present.iter().map(|(_, member, _)| member).chain(joining.map(|(member, _)| member));
    // Every step is a part of the job: the largest that is known.
    let ceiling = everybody.filter_map(|member| member.whole.max(member.rules.limit)).max()?;
    let most = |member: &JobMember, wish: Option<Bytes>| {
        member.rules.limit.into_iter().chain(wish).min().unwrap_or(ceiling).min(ceiling)
    };
    let mut sharers: Vec<Sharer> = present
        .iter()
        .map(|(tenant, member, wish)| Sharer { most: most(member, *wish), has: has(daemon, *tenant) })
        .collect();
    sharers.extend(joining.map(|(member, wish)| Sharer { most: most(member, wish), has: Bytes::ZERO }));
    let shares = shares(ceiling, &sharers);
    for ((tenant, member, _), share) in present.iter().zip(&shares) {
        if member.share != Some(*share)
            && let Some(member) = daemon.members.get_mut(*tenant)
        {
            member.job = member.job.map(|job| JobMember { share: Some(*share), ..job });
            tenant_rules::reserve_one_again(daemon, *tenant);
        }
    }
    joining.and_then(|_| shares.last().copied())
}

/// After a process of a job has come to have more or less.
pub fn on_memory(daemon: &mut Daemon, tenant: TenantId) {
    let Some(member) = daemon.members.get(tenant).filter(|member| member.job.is_some()) else { return };
    share_out(daemon, member.who.container_key(), None);
}

fn has(daemon: &Daemon, tenant: TenantId) -> Bytes {
    let Some(member) = daemon.members.get(tenant) else { return Bytes::ZERO };
    let allocated = |device: &DeviceId| daemon.core.memory_of(tenant, *device).allocated;
    member.devices.keys().map(allocated).max().unwrap_or_default()
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
}
