//! What a container's annotations and variables ask for and do not get: a word that nobody understands must not mean
//! "no limit". Decides on the document alone.

use crate::settings::RuntimeSettings;
use crate::spec::{self, yes_or_no};
use crate::{constants, edit};
use nvshare_protocol::wishes::{self, Wish};
use serde_json::{Map, Value, json};

/// A wish that is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What it is, why, and what is right.
    pub text: String,
    /// The library sees it too, and tells the program's user and the scheduler.
    pub seen_by_library: bool,
    /// An annotation says what holds in its place: no container is refused for it.
    pub overruled: bool,
}

impl Wrong {
    const fn new(text: String, seen_by_library: bool) -> Self {
        Self { text, seen_by_library, overruled: false }
    }
}

/// What is wrong with the wishes of a document in which the annotations of ours are the user's.
pub fn wrong(spec: &Value, settings: &RuntimeSettings) -> Vec<Wrong> {
    let hidden = |text| Wrong::new(text, false);
    let mut all: Vec<Wrong> = annotations(spec).map(hidden).collect();
    for option in &constants::TENANT_OPTIONS {
        let wish = wishes::named(option.variable);
        let annotation = spec.get("annotations").and_then(|all| all.get(option.annotation));
        match (annotation, spec::variable(spec, option.variable).filter(|value| !value.is_empty())) {
            (Some(value), variable) => {
                let of_annotation = value_of_annotation(option.annotation, value, wish);
                let wrong = variable.and_then(|text| not_understood("variable", option.variable, text, wish));
                all.extend(wrong.map(|text| overruled(&text, option.annotation, of_annotation.is_none())));
                all.extend(of_annotation);
            }
            (None, Some(value)) if !settings.may_set(option.word) => {
                all.push(hidden(dropped(option.variable, option.annotation, option.word, value)));
            }
            (None, Some(value)) => all.extend(value_of_variable(option.variable, value, wish)),
            (None, None) => {}
        }
    }
    all.extend(enable(spec, settings));
    let names = spec::variables(spec).filter_map(|(name, _)| Some((name, wishes::meant(name)?)));
    all.extend(names.map(|(name, meant)| {
        let text = format!("the variable {} is none of nvshare's: did you mean {meant}?", shown(name));
        Wrong::new(text, true)
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
        return Some(Wrong::new(text, false));
    };
    let wrong = not_understood("annotation", name, text, wish)?;
    // It is handed on as the variable.
    Some(Wrong::new(wrong, !text.contains(['\n', '\r'])))
}

fn value_of_variable(name: &str, value: &str, wish: Option<&Wish>) -> Option<Wrong> {
    Some(Wrong::new(not_understood("variable", name, value, wish)?, true))
}

/// A wrong variable that its programs do not see, for the annotation takes its place.
fn overruled(text: &str, annotation: &str, overruled: bool) -> Wrong {
    Wrong { overruled, ..Wrong::new(format!("{text}; the annotation {annotation} stands for it"), false) }
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

fn enable(spec: &Value, settings: &RuntimeSettings) -> Vec<Wrong> {
    const WORDS: &str = "1, true, yes, on, 0, false, no, off";
    let not_understood = |kind: &str, name: &str, value: &str| {
        (!value.is_empty() && yes_or_no(value).is_none())
            .then(|| format!("the {kind} {name}={} is not understood (allowed: {WORDS})", shown(value)))
    };
    let (annotation, name) = (constants::ENABLE_ANNOTATION, constants::ENABLE_VARIABLE);
    let variable = spec::variable(spec, name).filter(|value| !value.is_empty());
    let wrong = variable.and_then(|value| not_understood("variable", name, value));
    if let Some(value) = spec::annotation(spec, annotation) {
        let of_annotation = not_understood("annotation", annotation, value);
        let wrong = wrong.map(|text| overruled(&text, annotation, of_annotation.is_none()));
        return wrong.into_iter().chain(of_annotation.map(|text| Wrong::new(text, false))).collect();
    }
    let dropped = || {
        let value = variable?;
        let word = if yes_or_no(value)? { "enable" } else { "disable" };
        (!settings.may_set(word)).then(|| dropped(name, annotation, word, value))
    };
    wrong.or_else(dropped).map(|text| Wrong::new(text, false)).into_iter().collect()
}

/// What an exec into a managed container asks for and does not get. `begun`: the container's document before it was
/// edited, for an engine gives an exec the container's variables too.
pub fn of_exec(
    process: &Value,
    begun: &Value,
    annotations: &Map<String, Value>,
    settings: &RuntimeSettings,
) -> Vec<String> {
    // The process stands alone, and in a container's document below this name.
    let document = json!({"process": process});
    let asked = |name: &str| {
        let value = spec::variable(&document, name).filter(|value| !value.is_empty())?;
        (spec::variable(begun, name) != Some(value)).then(|| value.to_owned())
    };
    let of_option = |option: &constants::TenantOption| {
        let value = asked(option.variable)?;
        let dropped = format!("the variable {}={} of an exec is dropped", option.variable, shown(&value));
        match annotations.get(option.annotation).and_then(Value::as_str) {
            Some(holds) if holds == value => None,
            Some(holds) => {
                Some(format!("{dropped}: the container's annotation {}={} holds", option.annotation, shown(holds)))
            }
            None => (!settings.may_set(option.word)).then(|| {
                format!(
                    "{dropped}: variables count as the image's, and {} is not in [runtime] image_may_set. Start the \
                     container with --annotation {}={}",
                    option.word,
                    option.annotation,
                    shown(&value)
                )
            }),
        }
    };
    let enable = asked(constants::ENABLE_VARIABLE).map(|value| {
        let name = constants::ENABLE_VARIABLE;
        format!(
            "the variable {name}={} of an exec does nothing: the container is managed already",
            shown(&value)
        )
    });
    constants::TENANT_OPTIONS.iter().filter_map(of_option).chain(enable).collect()
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

/// Why a container does not start where `on_error` is `fail`, in one line.
pub fn refusal(wrong: &[Wrong]) -> Option<String> {
    let texts: Vec<_> =
        wrong.iter().filter(|wrong| !wrong.overruled).map(|wrong| wrong.text.as_str()).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
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
                "the annotation io.nvshare.gang=\"my job\" is not understood (allowed: auto, learn, off, or a name of at most 128 \
                 characters without spaces)",
            ),
            (
                json!({"process": {"env": ["NVSHARE_GANG=a\u{1b}"]}}),
                "the variable NVSHARE_GANG=\"a\\u{1b}\" is not understood (allowed: auto, learn, off, or a name of at most 128 \
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
            "process": {"env": ["NVSHARE_PRIORITY=high", "NVSHARE_MEM_LIMIT=4g"]},
            "annotations": {"io.nvshare.priority": "high", "io.nvshare.mem-limit": "8g"},
        });
        assert_eq!(texts(&spec), [""; 0]);
    }

    /// Nobody was told of it: neither by the runtime nor by the library, which does not see the variable.
    #[test]
    fn a_wrong_variable_below_a_right_annotation_is_told_and_refuses_nothing() {
        let settings = RuntimeSettings::default();
        let spec = json!({
            "process": {"env": ["NVSHARE_MEM_LIMIT=all", "NVSHARE_ENABLE=maybe"]},
            "annotations": {"io.nvshare.mem-limit": "8g", "io.nvshare.enable": "yes"},
        });
        let wrong = wrong(&spec, &settings);
        let texts: Vec<_> = wrong.iter().map(|wrong| &wrong.text[..]).collect();
        assert!(
            texts[0].starts_with("the variable NVSHARE_MEM_LIMIT=all is not understood (allowed: ")
                && texts[0].ends_with("; the annotation io.nvshare.mem-limit stands for it"),
            "{texts:?}"
        );
        assert_eq!(
            texts[1..],
            [
                "the variable NVSHARE_ENABLE=maybe is not understood (allowed: 1, true, yes, on, 0, false, no, off); the \
                 annotation io.nvshare.enable stands for it"
            ]
        );
        assert_eq!(refusal(&wrong), None);
        let policy = policy(&spec, &wrong, &settings);
        assert!(policy.contains("\n!the variable NVSHARE_MEM_LIMIT=all"), "{policy}");
        let both = json!({
            "process": {"env": ["NVSHARE_WEIGHT=many"]}, "annotations": {"io.nvshare.weight": "more"},
        });
        let all = super::wrong(&both, &settings);
        assert_eq!((all.len(), refusal(&all).unwrap().matches("not understood").count()), (2, 2));
    }

    /// `docker exec -e`: of a variable that was dropped nothing was said.
    #[test]
    fn what_an_exec_does_not_get_is_told() {
        let of = |given: &[&str], annotations: Value| {
            let begun = json!({"process": {"env": ["NVSHARE_PRIORITY=low", "NVSHARE_ENABLE=1"]}});
            let env: Vec<_> = ["NVSHARE_PRIORITY=low", "NVSHARE_ENABLE=1"].iter().chain(given).collect();
            let process = json!({"args": ["sh"], "env": env});
            of_exec(&process, &begun, annotations.as_object().unwrap(), &RuntimeSettings::default())
        };
        assert_eq!(of(&[], json!({})), [""; 0], "what the container has was told at its start");
        assert_eq!(of(&["NVSHARE_MEM_LIMIT=4g", "NVSHARE_WEIGHT="], json!({})), [""; 0]);
        assert_eq!(
            of(
                &["NVSHARE_PRIORITY=high", "NVSHARE_WEIGHT=2", "NVSHARE_ENABLE=0"],
                json!({"io.nvshare.weight": "3"})
            ),
            [
                "the variable NVSHARE_WEIGHT=2 of an exec is dropped: the container's annotation io.nvshare.weight=3 holds",
                "the variable NVSHARE_PRIORITY=high of an exec is dropped: variables count as the image's, and priority is \
                 not in [runtime] image_may_set. Start the container with --annotation io.nvshare.priority=high",
                "the variable NVSHARE_ENABLE=0 of an exec does nothing: the container is managed already",
            ]
        );
        assert_eq!(of(&["NVSHARE_WEIGHT=3"], json!({"io.nvshare.weight": "3"})), [""; 0]);
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
