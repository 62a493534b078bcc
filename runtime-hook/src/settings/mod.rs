//! The `[runtime]` section of the settings file. The other sections belong to other programs.

use crate::{constants, panic_guard};
use std::path::{Path, PathBuf};
use toml_edit::{DocumentMut, Item};

/// What happens to a container that should have been managed and cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// The engine reports the error and the container does not start.
    Fail,
    /// It starts as if nvshare were not there; the reason goes to our log.
    RunUnmanaged,
}

/// How the loader is told of the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `/etc/ld.so.preload` alone where it can be had, else `LD_PRELOAD`.
    Auto,
    /// `/etc/ld.so.preload` alone.
    File,
    /// `LD_PRELOAD` alone.
    Env,
}

/// The settings, one field a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub on_error: OnError,
    pub preload: Method,
    /// Names or paths, the first that exists and is not ourselves is used.
    pub low_level_runtimes: Vec<String>,
    /// What variables and an image's annotations may say; annotations of the user's may say everything.
    /// Of `enable`, `disable` and the words of [`constants::TENANT_OPTIONS`]. By itself none of `AT_OTHERS_EXPENSE`.
    pub image_may_set: Vec<String>,
    /// The library on the host.
    pub library: PathBuf,
    /// The directory on the host that holds the tenants' socket.
    pub tenants_dir: PathBuf,
    /// Where warnings about single containers go.
    pub log_file: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            on_error: OnError::RunUnmanaged,
            preload: Method::Auto,
            low_level_runtimes: ["nvidia-container-runtime", "runc", "crun"].map(String::from).to_vec(),
            image_may_set: may_set_words()
                .filter(|word| !AT_OTHERS_EXPENSE.contains(word))
                .map(String::from)
                .collect(),
            library: constants::LIBRARY.into(),
            tenants_dir: Path::new(constants::RUNTIME_DIR).join(constants::TENANTS_DIR),
            log_file: "/var/log/nvshare/runtime.log".into(),
        }
    }
}

impl Settings {
    pub fn may_set(&self, word: &str) -> bool {
        self.image_may_set.iter().any(|allowed| allowed == word)
    }
}

/// What an image may set only if the operator says so: it gives its containers more, and others less.
const AT_OTHERS_EXPENSE: [&str; 2] = ["weight", "priority"];

/// The words that `image_may_set` may hold.
pub fn may_set_words() -> impl Iterator<Item = &'static str> {
    ["enable", "disable"].into_iter().chain(constants::TENANT_OPTIONS.iter().map(|option| option.word))
}

/// Settings as far as they could be read, and what was wrong with the rest. The caller treats `error` as
/// `settings.on_error` says, so a mistake elsewhere in the file does not hide that key.
#[derive(Debug)]
pub struct Loaded {
    pub settings: Settings,
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
                settings: Settings::default(),
                error: Some(format!("{error} while reading it")),
            });
            loaded.error = loaded.error.map(|error| format!("{}: {error}", path.display()));
            loaded
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Loaded { settings: Settings::default(), error: None }
        }
        Err(error) => Loaded {
            settings: Settings::default(),
            error: Some(format!("cannot read {}: {error}", path.display())),
        },
    }
}

/// Reads the text of a settings file.
pub fn parse(text: &str) -> Loaded {
    let mut settings = Settings::default();
    let document = match text.parse::<DocumentMut>() {
        Ok(document) => document,
        Err(error) => {
            let first = error.to_string().replace('\n', " ");
            return Loaded { settings, error: Some(format!("not TOML: {}", first.trim())) };
        }
    };
    let error = match document.get("runtime") {
        None => None,
        Some(item) => match item.as_table_like() {
            None => Some("`runtime` is not a section".to_string()),
            Some(section) => {
                let mut errors = Vec::new();
                for (key, item) in section.iter() {
                    if let Err(error) = set(&mut settings, key, item) {
                        errors.push(format!("[runtime] {error}"));
                    }
                }
                (!errors.is_empty()).then(|| errors.join("; "))
            }
        },
    };
    Loaded { settings, error }
}

fn set(settings: &mut Settings, key: &str, item: &Item) -> Result<(), String> {
    match key {
        "on_error" => {
            settings.on_error =
                one_of(key, item, &[("fail", OnError::Fail), ("run-unmanaged", OnError::RunUnmanaged)])?
        }
        "preload" => {
            let words = [("auto", Method::Auto), ("file", Method::File), ("env", Method::Env)];
            settings.preload = one_of(key, item, &words)?
        }
        "low_level_runtimes" => {
            let list = strings(key, item)?;
            if list.is_empty() {
                return Err(format!("{key}: name at least one runtime"));
            }
            settings.low_level_runtimes = list
        }
        "image_may_set" => {
            let list = strings(key, item)?;
            if let Some(word) = list.iter().find(|word| !may_set_words().any(|known| known == *word)) {
                let known: Vec<_> = may_set_words().collect();
                return Err(format!("{key}: `{word}` is none of {}", known.join(", ")));
            }
            settings.image_may_set = list
        }
        "library" => settings.library = absolute(key, item)?,
        "tenants_dir" => settings.tenants_dir = absolute(key, item)?,
        "log_file" => settings.log_file = absolute(key, item)?,
        _ => return Err(format!("unknown key `{key}`")),
    }
    Ok(())
}

fn one_of<T: Copy>(key: &str, item: &Item, words: &[(&str, T)]) -> Result<T, String> {
    let text = item.as_str().unwrap_or_default();
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        format!("{key}: expected one of {}, found {}", known.join(", "), item.to_string().trim())
    })
}

fn strings(key: &str, item: &Item) -> Result<Vec<String>, String> {
    let wrong = || format!("{key}: expected a list of strings, found {}", item.to_string().trim());
    let list = item.as_array().ok_or_else(wrong)?;
    list.iter().map(|value| value.as_str().map(String::from).ok_or_else(wrong)).collect()
}

fn absolute(key: &str, item: &Item) -> Result<PathBuf, String> {
    match item.as_str().map(PathBuf::from) {
        Some(path) if path.is_absolute() => Ok(path),
        _ => Err(format!("{key}: expected an absolute path, found {}", item.to_string().trim())),
    }
}

/// The section as it ships: every key with its meaning, what is allowed, and its default commented out.
pub const SAMPLE: &str = include_str!("config.sample.toml");

#[cfg(test)]
mod tests {
    use super::*;

    /// toml_edit 0.23 panicked at a dotted key below an array that does not end.
    #[test]
    fn a_file_of_nonsense_is_an_error() {
        for text in ["a = [\nb = 1\na.b = 2\n", "a = [\0{ [\na = \0]\na. b", "a = {\na.b = 1"] {
            assert!(parse(text).error.is_some_and(|error| error.starts_with("not TOML")), "{text:?}");
        }
    }

    #[test]
    fn the_sample_says_every_default() {
        let said: String = SAMPLE
            .lines()
            .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
            .map(|line| format!("{line}\n"))
            .collect();
        let keys: Vec<_> = said.parse::<DocumentMut>().unwrap()["runtime"]
            .as_table()
            .unwrap()
            .iter()
            .map(|(key, _)| key.to_owned())
            .collect();
        let known = [
            "on_error",
            "preload",
            "low_level_runtimes",
            "image_may_set",
            "library",
            "tenants_dir",
            "log_file",
        ];
        assert_eq!(keys, known);
        let loaded = parse(&said);
        assert_eq!(loaded.error, None);
        assert_eq!(loaded.settings, Settings::default());
        assert_eq!(parse(SAMPLE).settings, Settings::default());
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
        assert!(error.contains("unknown key `libary`"), "{error}");
        assert!(error.contains("preload: expected one of auto, file, env, found 3"), "{error}");
        assert_eq!(loaded.settings.on_error, OnError::Fail);
    }

    #[test]
    fn broken_toml_is_an_error_with_the_defaults() {
        let loaded = parse("[runtime\n");
        assert!(loaded.error.unwrap().starts_with("not TOML"));
        assert_eq!(loaded.settings, Settings::default());
    }

    #[test]
    fn a_policy_word_is_checked() {
        let error = parse("[runtime]\nimage_may_set = [\"colour\"]").error.unwrap();
        assert!(
            error.contains(
                "`colour` is none of enable, disable, mem-limit, weight, priority, time-share, engine"
            ),
            "{error}"
        );
    }
}
