use super::*;
use crate::selection::{Selection, Verdict, select};
use std::collections::{BTreeMap, BTreeSet};

fn these(all: &[(&str, &str)]) -> ImageAnnotations {
    let mut said = BTreeMap::<String, BTreeSet<String>>::new();
    for (name, value) in all {
        said.entry((*name).to_owned()).or_default().insert((*value).to_owned());
    }
    ImageAnnotations::Known(said)
}

fn gpu(env: &[&str], annotations: Value) -> Value {
    let env: Vec<&str> = ["NVIDIA_VISIBLE_DEVICES=all"].iter().chain(env).copied().collect();
    json!({"process": {"env": env}, "annotations": annotations})
}

/// The variables and annotations of ours that are left, and what is said of the rest.
fn left(spec: &Value, said: &ImageAnnotations) -> (Vec<String>, Vec<String>, String) {
    let Selection { spec, ignored, .. } = select(spec, said, &RuntimeSettings::default());
    let env =
        spec["process"]["env"].as_array().unwrap().iter().map(|entry| entry.as_str().unwrap().to_owned());
    let annotations = spec::annotation_map(&spec);
    (env.skip(1).collect(), annotations.keys().cloned().collect(), ignored.join("; "))
}

#[test]
fn what_an_image_says_counts_as_a_variable_and_what_the_user_says_as_it_is() {
    let policy = "is not in [runtime] image_may_set";
    for (name, value, of_image, of_user, why) in [
        ("io.nvshare.priority", "high", &[][..], false, policy),
        ("io.nvshare.weight", "1000", &[], false, policy),
        ("io.nvshare.mem-limit", "1GiB", &["NVSHARE_MEM_LIMIT=1GiB"], false, ""),
        ("io.nvshare.time-share", "30%", &["NVSHARE_TIME_SHARE=30%"], false, ""),
        ("io.nvshare.engine", "plain", &["NVSHARE_ENGINE=plain"], false, ""),
        ("io.nvshare.gang", "auto", &["NVSHARE_GANG=auto"], false, ""),
        ("io.nvshare.enable", "false", &["NVSHARE_ENABLE=false"], false, ""),
        ("io.nvshare.enable", "perhaps", &[], false, "says neither yes nor no"),
        ("io.nvshare.other", "x", &[], true, ""),
    ] {
        let spec = gpu(&[], json!({ name: value }));
        let (env, annotations, ignored) = left(&spec, &these(&[(name, value)]));
        assert_eq!(env, of_image, "{name}");
        assert_eq!(annotations.is_empty(), !of_user, "{name}");
        assert!(ignored.contains(why) && ignored.is_empty() == why.is_empty(), "{name}: {ignored}");
        for user in [ImageAnnotations::NotHandedOn, these(&[(name, "another"), ("io.nvshare.x", value)])] {
            let kept = (vec![], vec![name.to_owned()], String::new());
            assert_eq!(left(&spec, &user), kept, "{name}, {user:?}");
        }
    }
}

#[test]
fn a_variable_is_nearer_to_the_user_than_an_images_annotation() {
    let spec = gpu(&["NVSHARE_MEM_LIMIT=2GiB"], json!({"io.nvshare.mem-limit": "1GiB"}));
    let (env, annotations, ignored) = left(&spec, &these(&[("io.nvshare.mem-limit", "1GiB")]));
    assert_eq!((env, annotations.len()), (vec!["NVSHARE_MEM_LIMIT=2GiB".to_owned()], 0));
    assert!(ignored.contains("the variable NVSHARE_MEM_LIMIT says it nearer to the user"), "{ignored}");
}

#[test]
fn where_it_cannot_be_told_who_said_it_the_image_did() {
    let spec = gpu(&[], json!({"io.nvshare.priority": "high", "org.other": "x"}));
    let (env, annotations, ignored) = left(&spec, &ImageAnnotations::Unknown("no record".into()));
    assert_eq!((env.len(), annotations), (0, vec!["org.other".to_owned()]));
    assert!(ignored.contains("cannot be told (no record): they count as the image's"), "{ignored}");
    assert!(ignored.contains("priority is not in [runtime] image_may_set"), "{ignored}");
}

#[test]
fn an_images_word_opts_in_and_out_as_its_variable_would() {
    let said = these(&[("io.nvshare.enable", "false")]);
    let spec = gpu(&[], json!({"io.nvshare.enable": "false"}));
    assert_eq!(
        select(&spec, &said, &RuntimeSettings::default()).verdict,
        Verdict::Skipped("variable NVSHARE_ENABLE")
    );
    let strict = RuntimeSettings { image_may_set: vec![], ..RuntimeSettings::default() };
    let selection = select(&spec, &said, &strict);
    assert_eq!(selection.verdict, Verdict::Selected("variable NVIDIA_VISIBLE_DEVICES"));
    assert!(selection.ignored[0].contains("disable is not in"), "{:?}", selection.ignored);
    // An image's option does not make a container a GPU container.
    let spec = json!({"annotations": {"io.nvshare.priority": "high"}});
    let selection = select(&spec, &these(&[("io.nvshare.priority", "high")]), &RuntimeSettings::default());
    assert_eq!(selection.verdict, Verdict::Skipped("no sign of a GPU"));
}

#[test]
fn the_mark_is_believed_with_our_mounts_and_only_if_the_image_has_not_brought_it() {
    let mounts = |place: &str| json!([{"destination": format!("{place}/libnvshare.so"), "source": "/x"}]);
    let unknown = ImageAnnotations::Unknown("x".into());
    let ours = "env /dev/nvshare";
    for (mark, place, said, already) in [
        (ours, "/dev/nvshare", ImageAnnotations::NotHandedOn, true),
        (ours, "/dev/nvshare", unknown.clone(), true),
        ("file /.nvshare", "/.nvshare", ImageAnnotations::NotHandedOn, true),
        (ours, "/run/nvshare", ImageAnnotations::NotHandedOn, false),
        (ours, "/elsewhere", ImageAnnotations::NotHandedOn, false),
        ("env /elsewhere", "/elsewhere", ImageAnnotations::NotHandedOn, false),
        ("x", "/dev/nvshare", unknown, false),
        ("", "/dev/nvshare", ImageAnnotations::NotHandedOn, false),
        (ours, "/dev/nvshare", these(&[("io.nvshare.injected", ours)]), false),
    ] {
        let mut spec = gpu(&[], json!({"io.nvshare.injected": mark}));
        spec["mounts"] = mounts(place);
        let selection = select(&spec, &said, &RuntimeSettings::default());
        assert_eq!(selection.verdict == Verdict::AlreadyInjected, already, "{mark:?} at {place}, {said:?}");
        assert_eq!(selection.ignored.len(), usize::from(!already), "{mark:?} at {place}, {said:?}");
        assert!(already || spec::annotation_map(&selection.spec).is_empty(), "{mark:?} at {place}, {said:?}");
    }
}
