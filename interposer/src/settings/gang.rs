//! Which job of several processes this process is of: by its user's word, or by its launcher's.
use super::launcher::{self, Job};
use nvshare_protocol::wishes::{LONGEST_GANG, NO_GANG as OFF, gang as is_name};

/// What the process's user says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GangChoice {
    /// What the launcher says.
    Auto,
    /// Nothing: the scheduler may find out.
    Learn,
    /// It is of none, whatever the scheduler may find out.
    Off,
    Named(String),
}

impl GangChoice {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "learn" => Some(Self::Learn),
            OFF => Some(Self::Off),
            name => is_name(name).then(|| Self::Named(name.to_owned())),
        }
    }

    pub fn show(&self) -> String {
        match self {
            Self::Auto => "auto".to_owned(),
            Self::Learn => "learn".to_owned(),
            Self::Off => OFF.to_owned(),
            Self::Named(name) => name.clone(),
        }
    }
}

/// A launcher's name for a job as one of ours. Its end tells jobs apart better than its beginning.
fn fitted(name: &str) -> String {
    let shown = |byte: u8| if byte.is_ascii_graphic() { char::from(byte) } else { '?' };
    let bytes = name.as_bytes();
    bytes[bytes.len().saturating_sub(LONGEST_GANG)..].iter().map(|byte| shown(*byte)).collect()
}

/// The job that the process is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gang {
    pub name: String,
    /// How many processes its launcher has started on this host.
    pub size: Option<u32>,
    /// Whether it has processes on other hosts, too.
    pub is_elsewhere: bool,
}

/// None: it is of none.
pub fn gang(choice: &GangChoice, get: impl Fn(&str) -> Option<String>) -> Option<Gang> {
    let job = || launcher::job(&get, launcher::ancestor_without);
    let (name, job) = match choice {
        GangChoice::Learn | GangChoice::Off => return None,
        GangChoice::Named(name) => (name.clone(), job()),
        GangChoice::Auto => job().map(|job| (fitted(&job.name), Some(job)))?,
    };
    let sizes = job.map(|Job { local, world, .. }| (local, world)).unwrap_or_default();
    let is_elsewhere = sizes.0.zip(sizes.1).is_some_and(|(local, world)| world > local);
    Some(Gang { name, size: sizes.0, is_elsewhere })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_word_comes_before_the_launchers() {
        let get = |name: &str| match name {
            "MASTER_ADDR" | "MASTER_PORT" => Some("1".to_owned()),
            "WORLD_SIZE" => Some("4".to_owned()),
            "LOCAL_WORLD_SIZE" => Some("2".to_owned()),
            _ => None,
        };
        let named = |name: &str| Some(Gang { name: name.to_owned(), size: Some(2), is_elsewhere: true });
        assert_eq!(gang(&GangChoice::Auto, get), named("torch:1:1"));
        assert_eq!(gang(&GangChoice::Off, get), None);
        assert_eq!(gang(&GangChoice::Learn, get), None);
        assert_eq!(gang(&GangChoice::parse("mine").unwrap(), get), named("mine"));
        let alone = Gang { name: "mine".to_owned(), size: None, is_elsewhere: false };
        assert_eq!(gang(&GangChoice::parse("mine").unwrap(), |_| None), Some(alone));
        for wrong in ["two words", "\u{1b}[2J", &"x".repeat(129)] {
            assert_eq!(GangChoice::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_launchers_name_can_be_shown_and_is_short() {
        let long = format!("torch:{}\u{1b}.example.org:29500", "h".repeat(200));
        let name = fitted(&long);
        assert!(is_name(&name) && name.ends_with("?.example.org:29500"), "{name}");
        assert_eq!(name.len(), LONGEST_GANG);
    }
}
