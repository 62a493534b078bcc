//! Separates the annotations that came with the image from those of the user. An image's author may say no more by an
//! annotation than by a variable, so an annotation of the image counts as the variable of the same option. Decides on the
//! document alone.

use crate::constants;
use crate::image_annotations::ImageAnnotations;
use crate::settings::RuntimeSettings;
use crate::spec::{self, yes_or_no};
use serde_json::{Value, json};

/// The document with the user's annotations alone, what the image may decide as variables, and what is not followed.
pub(crate) fn separate(
    spec: &Value,
    said: &ImageAnnotations,
    settings: &RuntimeSettings,
) -> (Value, Vec<String>) {
    let (mut settled, mut ignored) = (spec.clone(), Vec::new());
    let Some(annotations) = spec.get("annotations").and_then(Value::as_object) else {
        return (settled, ignored);
    };
    if let ImageAnnotations::Unknown(why) = said
        && annotations.keys().any(|name| constants::is_user_annotation(name))
    {
        ignored.push(format!(
            "whether its image or its user gave the annotations {}* cannot be told ({why}): they count as the image's",
            constants::ANNOTATIONS
        ));
    }
    for (name, value) in annotations {
        if name == constants::INJECTED_ANNOTATION {
            // We do not write our mark into manifests. An earlier edit may have known more than this one.
            if matches!(said, ImageAnnotations::Known(_)) && is_images(said, name, value)
                || !spec::is_injected(spec)
            {
                spec::remove_annotation(&mut settled, name);
                ignored.push(format!("the annotation {name} is ignored: nvshare did not set it"));
            }
        } else if constants::is_user_annotation(name) && is_images(said, name, value) {
            spec::remove_annotation(&mut settled, name);
            if let Some(reason) = take_as_variable(&mut settled, name, value, settings) {
                ignored.push(format!("the image's annotation {name} is ignored: {reason}"));
            }
        }
    }
    (settled, ignored)
}

fn is_images(said: &ImageAnnotations, name: &str, value: &Value) -> bool {
    match said {
        ImageAnnotations::NotHandedOn => false,
        ImageAnnotations::Known(all) => {
            all.get(name).is_some_and(|values| value.as_str().is_some_and(|value| values.contains(value)))
        }
        ImageAnnotations::Unknown(_) => true,
    }
}

/// Sets the variable of the same option, if an image may and nobody has. Returns why it does not.
fn take_as_variable(
    spec: &mut Value,
    name: &str,
    value: &Value,
    settings: &RuntimeSettings,
) -> Option<String> {
    let Some(value) = value.as_str() else { return Some("it is no text".into()) };
    let option = constants::TENANT_OPTIONS.iter().find(|option| option.annotation == name);
    let (word, variable) = match (option, yes_or_no(value)) {
        (Some(option), _) => (option.word, option.variable),
        (None, Some(yes)) => (if yes { "enable" } else { "disable" }, constants::ENABLE_VARIABLE),
        (None, None) => return Some("it says neither yes nor no".into()),
    };
    if !settings.may_set(word) {
        return Some(format!("{word} is not in [runtime] image_may_set"));
    }
    if spec::variable(spec, variable).is_some() {
        return Some(format!("the variable {variable} says it nearer to the user"));
    }
    let entries = spec.as_object_mut()?.entry("process").or_insert_with(|| json!({})).as_object_mut()?;
    let entries = entries.entry("env").or_insert_with(|| json!([])).as_array_mut()?;
    entries.push(format!("{variable}={value}").into());
    None
}

#[cfg(test)]
mod tests;
