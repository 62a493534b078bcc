//! The state that a hook gets on standard input. Runtimes differ in what they fill in: read leniently.

use serde_json::Value;
use std::path::PathBuf;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct State {
    pub container: String,
    pub bundle: Option<PathBuf>,
    /// As the reader sees it; some runtimes say 0 or 1 from inside a process namespace.
    pub pid: Option<u32>,
}

pub fn parse(text: &[u8]) -> State {
    let state: Value = serde_json::from_slice(text).unwrap_or_default();
    let word = |key: &str| state.get(key).and_then(Value::as_str).filter(|word| !word.is_empty());
    State {
        container: word("id").unwrap_or_default().to_owned(),
        bundle: word("bundle").or_else(|| word("bundlePath")).map(PathBuf::from),
        pid: state.get("pid").and_then(Value::as_u64).and_then(|pid| pid.try_into().ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_is_read() {
        let state = parse(br#"{"ociVersion":"1.0.2","id":"c","status":"created","pid":7,"bundle":"/b"}"#);
        assert_eq!(state, State { container: "c".into(), bundle: Some("/b".into()), pid: Some(7) });
        assert_eq!(parse(br#"{"id":"c","bundlePath":"/old"}"#).bundle, Some("/old".into()));
        assert_eq!(parse(br#"{"pid":-1,"bundle":""}"#), State::default());
        assert_eq!(parse(b"nonsense"), State::default());
    }
}
