//! The settings file as it ships, and what it says of each setting: the scheduler's part and the container
//! programs' one, each as its program has it.

/// One setting, as the file describes it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Setting {
    pub section: String,
    pub key: String,
    /// What it does, with the lines of the file.
    pub about: String,
    /// What it may be.
    pub allowed: String,
    /// Its default, as TOML.
    pub default: String,
}

/// The whole file.
pub fn text() -> String {
    format!("{}\n{}", nvshare_scheduler::settings::sample(), nvshare_runtime_hook::settings::SAMPLE)
}

/// Every setting of the file, in its order.
pub fn settings() -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut section = String::new();
    let mut next = Setting::default();
    for line in text().lines() {
        if let Some(allowed) = line.strip_prefix("# Allowed: ") {
            next.allowed = allowed.trim_end_matches('.').to_owned();
        } else if let Some(about) = line.strip_prefix("# ") {
            next.about.push_str(about);
            next.about.push('\n');
        } else if let Some((key, default)) = line.strip_prefix('#').and_then(|line| line.split_once(" = ")) {
            let (section, key, default) = (section.clone(), key.to_owned(), default.to_owned());
            settings.push(Setting { section, key, default, ..std::mem::take(&mut next) });
        } else if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name.to_owned();
            next = Setting::default();
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvshare_scheduler::settings::table::TABLE;

    #[test]
    fn every_setting_is_described() {
        let settings = settings();
        for row in TABLE {
            let found = settings.iter().find(|found| found.section == row.section && found.key == row.key);
            let found = found.unwrap_or_else(|| panic!("[{}] {} is missing", row.section, row.key));
            assert_eq!(found.about.trim_end(), row.about);
            assert_eq!(found.allowed, row.allowed);
        }
        let of_containers: Vec<_> = settings.iter().filter(|found| found.section == "runtime").collect();
        assert_eq!(of_containers.len() + TABLE.len(), settings.len());
        assert!(of_containers.iter().any(|found| found.key == "on_error"));
        for found in &settings {
            let whole = [&found.about, &found.allowed, &found.default].iter().all(|part| !part.is_empty());
            assert!(whole, "{found:?}");
        }
    }

    #[test]
    fn the_file_is_right_for_both_readers() {
        let read = nvshare_scheduler::settings::load(&text(), "config.toml", &[]);
        assert_eq!(read.unwrap(), nvshare_scheduler::settings::Settings::default());
        assert_eq!(nvshare_runtime_hook::settings::parse(&text()).error, None);
    }
}
