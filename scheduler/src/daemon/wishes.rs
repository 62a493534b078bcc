//! What a tenant gets of what it wishes for itself.
use crate::settings::DaemonSettings;
use nvshare_core::Priority;
use nvshare_protocol::job_rules::JobRules;
use nvshare_protocol::tenant::Hello;

/// What a tenant gets of its wishes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    pub weight: Option<u32>,
    pub priority: Option<Priority>,
    /// The least of what the tenant wishes and what one may have, if that is less than all.
    pub time_share: Option<u32>,
    /// What it does not get, for its user and the log.
    pub cut: Vec<String>,
}

impl Wishes {
    /// `job`: what root has written of its Slurm job, which holds in the place of what the settings allow to everybody.
    pub fn of(hello: &Hello, job: Option<JobRules>, settings: &DaemonSettings) -> Self {
        let job = job.unwrap_or_default();
        let of_job = job.priority.and_then(|at| Priority::ALL.get(at as usize)).copied();
        let (most, highest) = (job.weight.unwrap_or(settings.weight), of_job.unwrap_or(settings.priority));
        let mut cut = Vec::new();
        let wish = hello.priority.and_then(|n| Priority::ALL.get(n as usize)).copied();
        let priority = wish.map(|wish| wish.min(highest)).or(of_job);
        if let (Some(wish), Some(given)) = (wish, priority)
            && wish != given
        {
            let (wish, given) = (wish.as_str(), given.as_str());
            cut.push(format!(
                "priority {wish} is more than {} allows: it is {given}",
                by(of_job.is_some(), &format!("priority = \"{given}\""))
            ));
        }
        let weight = hello.weight.map(|wish| wish.min(most)).or(job.weight);
        if let Some(wish) = hello.weight.filter(|wish| *wish > most) {
            let by = by(job.weight.is_some(), &format!("weight = {most}"));
            cut.push(format!("weight {wish} is more than {by} allows: it is {most}"));
        }
        let share = hello.time_share.filter(|percent| *percent > 0);
        let time_share = share.into_iter().chain(settings.time_share).min().filter(|percent| *percent < 100);
        Self { weight, priority, time_share, cut }
    }
}

/// Who allows no more.
fn by(job: bool, setting: &str) -> String {
    if job { format!("the Slurm job's {setting}") } else { format!("[limits] {setting}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(weight: Option<u32>, priority: Option<u32>) -> Hello {
        Hello { version: 4, weight, priority, time_share: Some(0), ..Hello::default() }
    }

    #[test]
    fn nobody_gets_more_than_the_operator_allows() {
        let settings = DaemonSettings::default();
        let wishes = Wishes::of(&hello(Some(1000), Some(2)), None, &settings);
        assert_eq!((wishes.weight, wishes.priority), (Some(1), Some(Priority::Normal)));
        assert_eq!(
            wishes.cut,
            [
                "priority high is more than [limits] priority = \"normal\" allows: it is normal",
                "weight 1000 is more than [limits] weight = 1 allows: it is 1"
            ]
        );
        let modest = Wishes::of(&hello(Some(1), Some(0)), None, &settings);
        assert_eq!((modest.priority, modest.cut), (Some(Priority::Low), Vec::new()));
        let generous = DaemonSettings { weight: 5, priority: Priority::High, ..settings };
        let wishes = Wishes::of(&hello(Some(3), Some(2)), None, &generous);
        assert_eq!((wishes.weight, wishes.priority, wishes.cut), (Some(3), Some(Priority::High), Vec::new()));
        assert_eq!(Wishes::of(&hello(None, Some(9)), None, &generous), Wishes::default(), "no such priority");
    }

    #[test]
    fn what_root_has_written_of_a_job_holds_above_the_settings_and_above_the_job() {
        let settings = DaemonSettings::default();
        let job = Some(JobRules { limit: None, weight: Some(8), priority: Some(2) });
        let of = |weight, priority, job| {
            let wishes = Wishes::of(&hello(weight, priority), job, &settings);
            (wishes.weight, wishes.priority, wishes.cut.len())
        };
        assert_eq!(of(None, None, job), (Some(8), Some(Priority::High), 0));
        assert_eq!(of(Some(2), Some(0), job), (Some(2), Some(Priority::Low), 0));
        assert_eq!(of(Some(100), None, job), (Some(8), Some(Priority::High), 1));
        let low = Some(JobRules { priority: Some(0), ..JobRules::default() });
        assert_eq!(of(Some(100), Some(2), low), (Some(1), Some(Priority::Low), 2));
    }
}
