//! The settings file.

use super::RuntimeSettings;
use super::table::find;
use crate::{constants, panic_guard};
use nvshare_protocol::runtime_settings::{self, Given};
use std::path::{Path, PathBuf};
use toml_edit::{DocumentMut, Item, Value};

/// Our section of it.
pub use nvshare_protocol::runtime_settings::SECTION;

/// Settings as far as they could be read, and what was wrong with the rest. The caller treats `error` as
/// `settings.on_error` says, so a mistake elsewhere in the file does not hide that key.
#[derive(Debug)]
pub struct Loaded {
    pub settings: RuntimeSettings,
    pub error: Option<String>,
}

/// The path of the settings file.
pub fn path() -> PathBuf {
    std::env::var_os(constants::CONFIG_VARIABLE).map_or_else(|| constants::CONFIG_FILE.into(), PathBuf::from)
}

/// Reads the settings file; a missing one means the defaults.
pub fn load(path: &Path) -> Loaded {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            // A defect in reading this file would otherwise stop every container of the machine.
            let read = panic_guard::catch("nvshare", || Ok(parse(&text)));
            let mut loaded = read.unwrap_or_else(|error| Loaded {
                settings: RuntimeSettings::default(),
                error: Some(format!("{error} while reading it")),
            });
            loaded.error = loaded.error.map(|error| format!("{}: {error}", path.display()));
            loaded
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Loaded { settings: RuntimeSettings::default(), error: None }
        }
        Err(error) => Loaded {
            settings: RuntimeSettings::default(),
            error: Some(format!("cannot read {}: {error}", path.display())),
        },
    }
}

/// Reads the text of a settings file.
pub fn parse(text: &str) -> Loaded {
    let mut settings = RuntimeSettings::default();
    let document = match text.parse::<DocumentMut>() {
        Ok(document) => document,
        Err(error) => {
            let first = error.to_string().replace('\n', " ");
            read_lines(&mut settings, text);
            return Loaded { settings, error: Some(format!("not TOML: {}", first.trim())) };
        }
    };
    let wrong = match document.get(SECTION) {
        None => Vec::new(),
        Some(item) => match item.as_table_like() {
            None => vec![format!("`{SECTION}` is not a section")],
            Some(section) => {
                section.iter().filter_map(|(key, item)| set(&mut settings, key, item).err()).collect()
            }
        },
    };
    Loaded { settings, error: (!wrong.is_empty()).then(|| wrong.join("; ")) }
}

/// Takes from a file that is no TOML the lines that say what becomes of mistakes: one elsewhere must not turn `fail` into
/// the default, nor be told where nobody looks.
fn read_lines(settings: &mut RuntimeSettings, text: &str) {
    for line in text.lines().filter_map(|line| line.parse::<DocumentMut>().ok()) {
        for key in ["on_error", "log_file"] {
            let _ = line.get(key).map(|item| set(settings, key, item));
        }
    }
}

/// Takes one entry, or says what is wrong with it.
fn set(settings: &mut RuntimeSettings, key: &str, item: &Item) -> Result<(), String> {
    let value = item.as_value();
    if let Some(fault) = runtime_settings::fault(key, &value.map_or(Given::Other, given), &item.to_string()) {
        return Err(fault);
    }
    // What is allowed is understood: `what_is_allowed_is_understood`.
    if let (Some(row), Some(value)) = (find(key), value) {
        let _ = (row.set)(settings, value);
    }
    Ok(())
}

fn given(value: &Value) -> Given<'_> {
    match value {
        Value::String(text) => Given::Text(text.value()),
        Value::Array(list) => {
            list.iter().map(Value::as_str).collect::<Option<_>>().map_or(Given::Other, Given::Texts)
        }
        _ => Given::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::TABLE;
    use super::super::{Method, OnError, may_set_words, sample};
    use super::*;

    /// toml_edit 0.23 panicked at a dotted key below an array that does not end.
    #[test]
    fn a_file_of_nonsense_is_an_error() {
        for text in ["a = [\nb = 1\na.b = 2\n", "a = [\0{ [\na = \0]\na. b", "a = {\na.b = 1"] {
            assert!(parse(text).error.is_some_and(|error| error.starts_with("not TOML")), "{text:?}");
        }
    }

    #[test]
    fn the_sample_is_the_default_commented_or_not() {
        let sample = sample();
        assert_eq!(parse(&sample).settings, RuntimeSettings::default());
        let uncommented: String = sample
            .lines()
            .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
            .map(|line| format!("{line}\n"))
            .collect();
        let loaded = parse(&uncommented);
        assert_eq!((loaded.error, loaded.settings), (None, RuntimeSettings::default()));
        let entries = uncommented.lines().filter(|line| line.contains(" = ") && !line.starts_with('#'));
        assert_eq!(entries.count(), TABLE.len());
    }

    /// The scheduler judges this section by the shared rows alone.
    #[test]
    fn what_is_allowed_is_understood() {
        let keys: Vec<_> = runtime_settings::KEYS.iter().map(|row| row.key).collect();
        assert_eq!(keys, TABLE.iter().map(|row| row.key).collect::<Vec<_>>());
        assert!(may_set_words().eq(runtime_settings::IMAGE_MAY_SET));
        let values = [
            "\"fail\"",
            "\"run-unmanaged\"",
            "\"fial\"",
            "\"auto\"",
            "\"env\"",
            "\"file\"",
            "\"/x\"",
            "\"x\"",
            "\"\"",
            "3",
            "true",
            "[]",
            "[\"runc\"]",
            "[3]",
            "[\"weight\"]",
            "[\"weight\", \"colour\"]",
            "{ x = 1 }",
        ];
        for (row, shared) in TABLE.iter().zip(runtime_settings::KEYS) {
            for value in values.map(|value| value.parse::<Value>().unwrap()) {
                let read = (row.set)(&mut RuntimeSettings::default(), &value).is_some();
                assert_eq!(read, shared.form.allows(&given(&value)), "{} = {value}", row.key);
            }
        }
    }

    #[test]
    fn what_is_allowed_names_every_policy_word() {
        let allowed = find("image_may_set").unwrap().allowed;
        let words: Vec<_> = may_set_words().map(|word| format!("{word:?}")).collect();
        assert_eq!(allowed, format!("any of {}", words.join(", ")));
    }

    #[test]
    fn other_sections_are_not_ours_to_judge() {
        let loaded = parse("[scheduler]\nquantum = [1, \"x\"]\n[runtime]\npreload = \"env\"\n");
        assert_eq!(loaded.error, None);
        assert_eq!(loaded.settings.preload, Method::Env);
    }

    #[test]
    fn a_mistake_is_named_and_on_error_still_holds() {
        let loaded = parse("[runtime]\nlibary = \"/x\"\npreload = 3\non_error = \"fail\"\n");
        let error = loaded.error.unwrap();
        assert!(error.contains("[runtime] libary is no setting (known: on_error, preload,"), "{error}");
        let preload = "[runtime] preload = 3 is not allowed (allowed: \"auto\", \"env\" or \"file\")";
        assert!(error.contains(preload), "{error}");
        assert_eq!(loaded.settings.on_error, OnError::Fail);
    }

    #[test]
    fn broken_toml_is_an_error_with_the_defaults() {
        let loaded = parse("[runtime\n");
        assert!(loaded.error.unwrap().starts_with("not TOML"));
        assert_eq!(loaded.settings, RuntimeSettings::default());
        for (line, on_error) in [
            ("  on_error = \"fail\" # why", OnError::Fail),
            ("on_error = \"run-unmanaged\"", OnError::RunUnmanaged),
            ("#on_error = \"fail\"", OnError::RunUnmanaged),
            ("on_error = fail", OnError::RunUnmanaged),
        ] {
            let loaded = parse(&format!("[runtime]\n{line}\n[runtime]\n"));
            assert!(loaded.error.unwrap().starts_with("not TOML"));
            assert_eq!(loaded.settings.on_error, on_error, "{line}");
        }
    }

    #[test]
    fn a_value_that_is_not_allowed_leaves_the_default() {
        for (entry, key) in [
            ("image_may_set = [\"colour\"]", "image_may_set"),
            ("image_may_set = \"weight\"", "image_may_set"),
            ("low_level_runtimes = []", "low_level_runtimes"),
            ("low_level_runtimes = [3]", "low_level_runtimes"),
            ("library = \"libnvshare.so\"", "library"),
            ("[runtime.log_file]\nx = 1", "log_file"),
        ] {
            let loaded = parse(&format!("[runtime]\n{entry}\n"));
            let allowed = find(key).unwrap().allowed;
            let error = loaded.error.unwrap();
            assert!(error.ends_with(&format!("is not allowed (allowed: {allowed})")), "{error}");
            assert_eq!(loaded.settings, RuntimeSettings::default());
        }
    }
}
