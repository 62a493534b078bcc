//! What a tenant gets of what it wishes for itself.
use crate::settings::DaemonSettings;
use nvshare_core::Priority;
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
    pub fn of(hello: &Hello, settings: &DaemonSettings) -> Self {
        let (most, highest) = (settings.weight, settings.priority);
        let mut cut = Vec::new();
        let wish = hello.priority.and_then(|n| Priority::ALL.get(n as usize)).copied();
        let priority = wish.map(|wish| wish.min(highest));
        if let (Some(wish), Some(given)) = (wish, priority)
            && wish != given
        {
            let (wish, given) = (wish.as_str(), given.as_str());
            cut.push(format!(
                "priority {wish} is more than [limits] priority = \"{given}\" allows: it is {given}"
            ));
        }
        let weight = hello.weight.map(|wish| wish.min(most));
        if let Some(wish) = hello.weight.filter(|wish| *wish > most) {
            cut.push(format!("weight {wish} is more than [limits] weight = {most} allows: it is {most}"));
        }
        let share = hello.time_share.filter(|percent| *percent > 0);
        let time_share = share.into_iter().chain(settings.time_share).min().filter(|percent| *percent < 100);
        Self { weight, priority, time_share, cut }
    }
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
        let wishes = Wishes::of(&hello(Some(1000), Some(2)), &settings);
        assert_eq!((wishes.weight, wishes.priority), (Some(1), Some(Priority::Normal)));
        assert_eq!(
            wishes.cut,
            [
                "priority high is more than [limits] priority = \"normal\" allows: it is normal",
                "weight 1000 is more than [limits] weight = 1 allows: it is 1"
            ]
        );
        let modest = Wishes::of(&hello(Some(1), Some(0)), &settings);
        assert_eq!((modest.priority, modest.cut), (Some(Priority::Low), Vec::new()));
        let generous = DaemonSettings { weight: 5, priority: Priority::High, ..settings };
        let wishes = Wishes::of(&hello(Some(3), Some(2)), &generous);
        assert_eq!((wishes.weight, wishes.priority, wishes.cut), (Some(3), Some(Priority::High), Vec::new()));
        assert_eq!(Wishes::of(&hello(None, Some(9)), &generous), Wishes::default(), "no such priority");
    }
}
