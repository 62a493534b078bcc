//! The settings file as it ships, and what it says of each setting: by the scheduler's table and by that of the container
//! programs.
use nvshare_runtime_hook::settings as runtime;
use nvshare_scheduler::settings as scheduler;

/// One setting, as its program's table has it.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    pub section: &'static str,
    pub key: &'static str,
    /// What it does, with the lines of the file.
    pub about: &'static str,
    /// What it may be.
    pub allowed: &'static str,
    /// Its default, as TOML.
    pub default: String,
}

/// The whole file.
pub fn text() -> String {
    format!("{}\n{}", scheduler::sample(), runtime::sample())
}

/// Every setting of the file, in its order.
pub fn settings() -> Vec<Setting> {
    let defaults = scheduler::DaemonSettings::default();
    let of_scheduler = scheduler::table::TABLE.iter().map(|row| Setting {
        section: row.section,
        key: row.key,
        about: row.about,
        allowed: row.allowed,
        default: (row.show)(&defaults),
    });
    let defaults = runtime::RuntimeSettings::default();
    let of_runtime = runtime::table::TABLE.iter().map(|row| Setting {
        section: runtime::SECTION,
        key: row.key,
        about: row.about,
        allowed: row.allowed,
        default: (row.show)(&defaults),
    });
    of_scheduler.chain(of_runtime).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_described() {
        let text = text();
        for row in settings() {
            let part = [row.about, row.allowed, &row.default];
            assert!(part.iter().all(|part| !part.is_empty()), "{row:?}");
            let about: String = row.about.lines().map(|line| format!("# {line}\n")).collect();
            let entry = format!("\n{about}# Allowed: {}.\n#{} = {}\n", row.allowed, row.key, row.default);
            let section = text.split(&format!("[{}]\n", row.section)).nth(1).unwrap_or_default();
            assert!(section.contains(&entry), "[{}] {}", row.section, row.key);
        }
    }

    /// The scheduler's part stands in the repository, for readers.
    #[test]
    fn the_file_for_readers_is_the_schedulers_sample() {
        let made_by = "`nvshare-scheduler --sample-config >packaging/config.toml`";
        assert_eq!(scheduler::sample(), include_str!("../config.toml"), "make it by {made_by}");
    }

    #[test]
    fn the_file_is_right_for_both_readers() {
        let read = scheduler::load(&text(), "config.toml", &[]);
        assert_eq!(read.unwrap(), scheduler::DaemonSettings::default());
        assert_eq!(runtime::parse(&text()).error, None);
    }
}
