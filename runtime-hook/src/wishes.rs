//! What a container's annotations and variables ask for and do not get: a word that nobody understands must not mean
//! "no limit". Decides on the document alone.

use crate::settings::RuntimeSettings;
use crate::spec::{self, yes_or_no};
use crate::{constants, edit};
use nvshare_protocol::wishes::{self, Wish};
use serde_json::Value;

/// A wish that is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What it is, why, and what is right.
    pub text: String,
    /// The library sees it too, and tells the program's user and the scheduler.
    pub seen_by_library: bool,
}

/// What is wrong with the wishes of a document in which the annotations of ours are the user's.
pub fn wrong(spec: &Value, settings: &RuntimeSettings) -> Vec<Wrong> {
    let hidden = |text| Wrong { text, seen_by_library: false };
    let mut all: Vec<Wrong> = annotations(spec).map(hidden).collect();
    for option in &constants::TENANT_OPTIONS {
        let wish = wishes::named(option.variable);
        let annotation = spec.get("annotations").and_then(|all| all.get(option.annotation));
        match (annotation, spec::variable(spec, option.variable).filter(|value| !value.is_empty())) {
            (Some(value), _) => all.extend(value_of_annotation(option.annotation, value, wish)),
            (None, Some(value)) if !settings.may_set(option.word) => {
                all.push(hidden(dropped(option.variable, option.annotation, option.word, value)));
            }
            (None, Some(value)) => all.extend(value_of_variable(option.variable, value, wish)),
            (None, None) => {}
        }
    }
    all.extend(enable(spec, settings).map(hidden));
    let names = spec::variables(spec).filter_map(|(name, _)| Some((name, wishes::meant(name)?)));
    all.extend(names.map(|(name, meant)| Wrong {
        text: format!("the variable {} is none of nvshare's: did you mean {meant}?", shown(name)),
        seen_by_library: true,
    }));
    all
}

/// What is wrong with the names of annotations, which nobody but us reads.
pub fn annotations(spec: &Value) -> impl Iterator<Item = String> {
    // `io.nvshare/mem-limit` is how Kubernetes writes names, and no other program's.
    let is_ours = |name: &str| {
        let name = name.to_ascii_lowercase().replace('/', ".");
        (name + ".").starts_with(constants::ANNOTATIONS)
    };
    let unknown = move |name: &str| {
        is_ours(name) && name != constants::INJECTED_ANNOTATION && !constants::is_user_annotation(name)
    };
    let known = || {
        let options = constants::TENANT_OPTIONS.iter().map(|option| option.annotation);
        [constants::ENABLE_ANNOTATION].into_iter().chain(options)
    };
    let word = |name: &'static str| name.strip_prefix(constants::ANNOTATIONS).unwrap_or(name);
    spec::annotations(spec).filter(move |(name, _)| unknown(name)).map(move |(name, _)| {
        let given = name.get(constants::ANNOTATIONS.len()..).unwrap_or(name).to_ascii_lowercase();
        let tip = match wishes::nearest(&given, known().map(word)) {
            Some(meant) => format!("did you mean {}{meant}?", constants::ANNOTATIONS),
            None => format!("known: {}", known().collect::<Vec<_>>().join(", ")),
        };
        format!("the annotation {} is none of nvshare's: {tip}", shown(name))
    })
}

fn value_of_annotation(name: &str, value: &Value, wish: Option<&Wish>) -> Option<Wrong> {
    let Some(text) = value.as_str() else {
        let text = format!("the annotation {name} is no text: write it in quotes");
        return Some(Wrong { text, seen_by_library: false });
    };
    let wrong = not_understood("annotation", name, text, wish)?;
    // It is handed on as the variable.
    Some(Wrong { text: wrong, seen_by_library: !text.contains(['\n', '\r']) })
}

fn value_of_variable(name: &str, value: &str, wish: Option<&Wish>) -> Option<Wrong> {
    let text = not_understood("variable", name, value, wish)?;
    Some(Wrong { text, seen_by_library: true })
}

fn not_understood(kind: &str, name: &str, value: &str, wish: Option<&Wish>) -> Option<String> {
    let wish = wish.filter(|wish| !value.is_empty() && !(wish.understands)(value))?;
    Some(format!("the {kind} {name}={} is not understood (allowed: {})", shown(value), wish.allowed))
}

/// `docker run -e` cannot be told from the image's own variables.
fn dropped(variable: &str, annotation: &str, word: &str, value: &str) -> String {
    format!(
        "the variable {variable}={} is dropped: variables count as the image's, and {word} is not in [runtime] \
         image_may_set. Give it with --annotation {annotation}={}",
        shown(value),
        shown(value)
    )
}

fn enable(spec: &Value, settings: &RuntimeSettings) -> Option<String> {
    const WORDS: &str = "1, true, yes, on, 0, false, no, off";
    let is_wrong = |value: &str| !value.is_empty() && yes_or_no(value).is_none();
    if let Some(value) = spec::annotation(spec, constants::ENABLE_ANNOTATION) {
        let name = constants::ENABLE_ANNOTATION;
        return is_wrong(value)
            .then(|| format!("the annotation {name}={} is not understood (allowed: {WORDS})", shown(value)));
    }
    let name = constants::ENABLE_VARIABLE;
    let value = spec::variable(spec, name).filter(|value| !value.is_empty())?;
    match yes_or_no(value) {
        None => Some(format!("the variable {name}={} is not understood (allowed: {WORDS})", shown(value))),
        Some(yes) => {
            let word = if yes { "enable" } else { "disable" };
            (!settings.may_set(word)).then(|| dropped(name, constants::ENABLE_ANNOTATION, word, value))
        }
    }
}

/// A foreign word in a line of ours: short, and in quotes if it is more than a plain word.
fn shown(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.%".contains(c);
    let short: String = text.chars().take(64).collect();
    if !short.is_empty() && short.chars().all(plain) { short } else { format!("{short:?}") }
}

/// What the container's processes may, and what the library has to tell because nobody else can.
pub fn policy(spec: &Value, wrong: &[Wrong], settings: &RuntimeSettings) -> String {
    let remarks = wrong.iter().filter(|wrong| !wrong.seen_by_library);
    let remarks = remarks.map(|wrong| format!("{}{}\n", wishes::POLICY_REMARK, wrong.text));
    remarks.fold(edit::policy(spec, settings), |all, line| all + &line)
}

/// All of them in one line.
pub fn joined(wrong: &[Wrong]) -> String {
    wrong.iter().map(|wrong| wrong.text.as_str()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(spec: &Value) -> Vec<String> {
        wrong(spec, &RuntimeSettings::default()).into_iter().map(|wrong| wrong.text).collect()
    }

    #[test]
    fn what_is_understood_is_right() {
        let spec = json!({
            "process": {"env": ["NVSHARE_MEM_LIMIT=8GB", "NVSHARE_TIME_SHARE=30", "NVSHARE_LOG=debug", "NVSHARE_HOME=/x", "NVSHARE_ENGINE="]},
            "annotations": {"io.nvshare.priority": "HIGH", "io.nvshare.enable": "yes", "org.x": "y"},
        });
        assert_eq!(texts(&spec), [""; 0]);
    }

    /// OPERATOR: no limit at all, one line on the container's stderr, nothing for the operator.
    #[test]
    fn what_nobody_understands_is_told_with_what_is_right() {
        for (spec, text) in [
            (
                json!({"annotations": {"io.nvshare.memlimit": "8GiB"}}),
                "the annotation io.nvshare.memlimit is none of nvshare's: did you mean io.nvshare.mem-limit?",
            ),
            (
                json!({"annotations": {"io.nvshare/mem-limit": "8GiB"}}),
                "the annotation \"io.nvshare/mem-limit\" is none of nvshare's: did you mean io.nvshare.mem-limit?",
            ),
            (
                json!({"annotations": {"IO.NVSHARE.MEM-LIMIT": "8GiB"}}),
                "the annotation IO.NVSHARE.MEM-LIMIT is none of nvshare's: did you mean io.nvshare.mem-limit?",
            ),
            (
                json!({"annotations": {"io.nvshare.colour": "red"}}),
                "the annotation io.nvshare.colour is none of nvshare's: known: io.nvshare.enable, io.nvshare.mem-limit, \
                 io.nvshare.weight, io.nvshare.priority, io.nvshare.time-share, io.nvshare.engine, io.nvshare.gang",
            ),
            (
                json!({"annotations": {"io.nvshare.weight": "many"}}),
                "the annotation io.nvshare.weight=many is not understood (allowed: 1 to 1000)",
            ),
            (
                json!({"annotations": {"io.nvshare.gang": "my job"}}),
                "the annotation io.nvshare.gang=\"my job\" is not understood (allowed: auto, off, or a name of at most 128 \
                 characters without spaces)",
            ),
            (
                json!({"process": {"env": ["NVSHARE_GANG=a\u{1b}"]}}),
                "the variable NVSHARE_GANG=\"a\\u{1b}\" is not understood (allowed: auto, off, or a name of at most 128 \
                 characters without spaces)",
            ),
            (
                json!({"annotations": {"io.nvshare.weight": 3}}),
                "the annotation io.nvshare.weight is no text: write it in quotes",
            ),
            (
                json!({"process": {"env": ["NVSHARE_TIME_SHARE=30.5%"]}}),
                "the variable NVSHARE_TIME_SHARE=30.5% is not understood (allowed: a whole number of per cent, 1% to 100%)",
            ),
            (
                json!({"process": {"env": ["NVSHARE_MEMLIMIT=8GiB"]}}),
                "the variable NVSHARE_MEMLIMIT is none of nvshare's: did you mean NVSHARE_MEM_LIMIT?",
            ),
            (
                json!({"process": {"env": ["NVSHARE_PRIORITY=high"]}}),
                "the variable NVSHARE_PRIORITY=high is dropped: variables count as the image's, and priority is not in \
                 [runtime] image_may_set. Give it with --annotation io.nvshare.priority=high",
            ),
            (
                json!({"annotations": {"io.nvshare.enable": "maybe"}}),
                "the annotation io.nvshare.enable=maybe is not understood (allowed: 1, true, yes, on, 0, false, no, off)",
            ),
        ] {
            assert_eq!(texts(&spec), [text]);
        }
    }

    #[test]
    fn an_annotation_stands_for_the_variable_of_the_same_option() {
        let spec = json!({
            "process": {"env": ["NVSHARE_PRIORITY=high", "NVSHARE_MEM_LIMIT=all"]},
            "annotations": {"io.nvshare.priority": "high", "io.nvshare.mem-limit": "8g"},
        });
        assert_eq!(texts(&spec), [""; 0]);
    }

    #[test]
    fn the_library_is_told_what_it_cannot_see() {
        let spec = json!({
            "process": {"env": ["NVSHARE_WEIGHT=2", "NVSHARE_TIME_SHARE=all"]},
            "annotations": {"io.nvshare.memlimit\n": "8GiB", "io.nvshare.priority": "low"},
        });
        let settings = RuntimeSettings::default();
        let policy = policy(&spec, &wrong(&spec, &settings), &settings);
        let lines: Vec<_> = policy.lines().collect();
        assert_eq!(lines[..2], ["NVSHARE_PRIORITY=low", "NVSHARE_TIME_SHARE=all"]);
        assert!(lines[2].starts_with("!the annotation \"io.nvshare.memlimit\\n\" is none"), "{policy}");
        assert!(lines[3].starts_with("!the variable NVSHARE_WEIGHT=2 is dropped"), "{policy}");
        assert_eq!(lines.len(), 4);
    }
}
