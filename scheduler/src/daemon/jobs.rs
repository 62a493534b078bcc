//! Jobs of Slurm: what a step may by its file; the processes of a job share what their job may.
use super::job_shares::{JobMember, Sharer, settled, shares};
use super::reactor::Daemon;
use super::tenant_rules;
use crate::identity::{Identity, Owner};
use nvshare_core::event::TenantId;
use nvshare_protocol::{Bytes, DeviceId};

/// What a process that joins may, by the files of its step and job; none: it is of no job, or of one that Slurm's plugin
/// has said nothing of.
pub fn member(daemon: &Daemon, who: &Identity) -> Option<JobMember> {
    let (step, files) = (who.step()?, &daemon.shared.host.jobs);
    let rules = files.rules(step)?;
    let whole = files.of_whole_job(step).and_then(|rules| rules.limit);
    Some(JobMember { rules, whole, share: rules.limit, settled: false })
}

/// Shares out anew what a job may, among its present processes and `joining`, if there is one, whose share is returned.
/// Those for whom it is another limit than before are told.
pub fn share_out(
    daemon: &mut Daemon,
    job: Option<Owner>,
    joining: Option<(&JobMember, Option<Bytes>)>,
) -> Option<Bytes> {
    let job = job?;
    let of_job = daemon.members.of_job(job);
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
    let settled = settled(&sharers, &shares);
    for ((tenant, before, _), share) in present.iter().zip(&shares) {
        if let Some(member) = daemon.members.get_mut(*tenant) {
            member.job = member.job.map(|job| JobMember { share: Some(*share), settled, ..job });
            if before.share != Some(*share) {
                tenant_rules::reserve_one_again(daemon, *tenant);
            }
        }
    }
    joining.and_then(|_| shares.last().copied())
}

/// After a process of a job has come to have more or less.
pub fn on_memory(daemon: &mut Daemon, tenant: TenantId) {
    let Some(member) = daemon.members.get(tenant) else { return };
    if member.job.is_some_and(|job| !job.stays(has(daemon, tenant))) {
        share_out(daemon, member.who.container_key(), None);
    }
}

fn has(daemon: &Daemon, tenant: TenantId) -> Bytes {
    let Some(member) = daemon.members.get(tenant) else { return Bytes::ZERO };
    let allocated = |device: &DeviceId| daemon.core.memory_of(tenant, *device).allocated;
    member.devices.keys().map(allocated).max().unwrap_or_default()
}
