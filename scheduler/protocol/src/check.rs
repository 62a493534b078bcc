//! What a check of the installation or of the settings found: what `nvshare-ctk doctor --json` and
//! `nvshare-scheduler --check --json` print.
use serde::{Deserialize, Serialize};

/// The version of this form. Fields are added without a new one.
pub const SCHEMA: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// Worth a look; everything works all the same.
    Warning,
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Of few letters, and the same in every version.
    pub name: String,
    pub state: State,
    pub text: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Check {
    #[must_use]
    pub fn new(name: &str, state: State, text: impl Into<String>) -> Self {
        Self { name: name.into(), state, text: text.into(), advice: None }
    }

    #[must_use]
    pub fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checks {
    pub schema: u32,
    pub program: String,
    pub version: String,
    pub checks: Vec<Check>,
}

impl Checks {
    #[must_use]
    pub fn new(program: &str, checks: Vec<Check>) -> Self {
        Self { schema: SCHEMA, program: program.into(), version: env!("CARGO_PKG_VERSION").into(), checks }
    }

    /// How many things are wrong.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.checks.iter().filter(|check| check.state == State::Error).count()
    }
}
