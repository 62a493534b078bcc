//! What section `[runtime]` of the settings file may say. The container programs read it, and whoever checks the file
//! judges it by the same rows.

pub const SECTION: &str = "runtime";

/// The forms of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    OneOf(&'static [&'static str]),
    /// A list of some of these.
    SomeOf(&'static [&'static str]),
    /// A list of at least one.
    Names,
    AbsolutePath,
}

/// A value as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given<'a> {
    Text(&'a str),
    Texts(Vec<&'a str>),
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub key: &'static str,
    /// What it may be, for errors.
    pub allowed: &'static str,
    pub form: Form,
}

/// What `image_may_set` may list.
pub const IMAGE_MAY_SET: [&str; 8] =
    ["enable", "disable", "mem-limit", "weight", "priority", "time-share", "engine", "gang"];

pub const ON_ERROR: Key = Key {
    key: "on_error",
    allowed: "\"fail\" or \"run-unmanaged\"",
    form: Form::OneOf(&["fail", "run-unmanaged"]),
};
pub const PRELOAD: Key = Key {
    key: "preload",
    allowed: "\"auto\", \"env\" or \"file\"",
    form: Form::OneOf(&["auto", "env", "file"]),
};
pub const LOW_LEVEL_RUNTIMES: Key = Key {
    key: "low_level_runtimes",
    allowed: "at least one name, or absolute path, of an OCI runtime",
    form: Form::Names,
};
pub const MAY_SET: Key = Key {
    key: "image_may_set",
    allowed: "any of \"enable\", \"disable\", \"mem-limit\", \"weight\", \"priority\", \"time-share\", \"engine\", \"gang\"",
    form: Form::SomeOf(&IMAGE_MAY_SET),
};
pub const LIBRARY: Key = path("library");
pub const TENANTS_DIR: Key = path("tenants_dir");
pub const LOG_FILE: Key = path("log_file");

const fn path(key: &'static str) -> Key {
    Key { key, allowed: "an absolute path", form: Form::AbsolutePath }
}

/// In the order of the file that ships.
pub const KEYS: [Key; 7] = [ON_ERROR, PRELOAD, LOW_LEVEL_RUNTIMES, MAY_SET, LIBRARY, TENANTS_DIR, LOG_FILE];

impl Form {
    #[must_use]
    pub fn allows(self, given: &Given<'_>) -> bool {
        match (self, given) {
            (Self::OneOf(words), Given::Text(text)) => words.contains(text),
            (Self::SomeOf(words), Given::Texts(texts)) => texts.iter().all(|text| words.contains(text)),
            (Self::Names, Given::Texts(texts)) => !texts.is_empty(),
            (Self::AbsolutePath, Given::Text(text)) => text.starts_with('/'),
            _ => false,
        }
    }
}

/// What is wrong with an entry of the section; `shown`: the value as it stands in the file.
#[must_use]
pub fn fault(key: &str, given: &Given<'_>, shown: &str) -> Option<String> {
    let Some(row) = KEYS.iter().find(|row| row.key == key) else {
        let known: Vec<_> = KEYS.iter().map(|row| row.key).collect();
        return Some(format!("[{SECTION}] {key} is no setting (known: {})", known.join(", ")));
    };
    (!row.form.allows(given))
        .then(|| format!("[{SECTION}] {key} = {} is not allowed (allowed: {})", shown.trim(), row.allowed))
}
