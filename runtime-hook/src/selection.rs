//! Which containers are managed. Decides on the document alone.

use crate::image_annotations::ImageAnnotations;
use crate::settings::RuntimeSettings;
use crate::wishes::{self, Wrong};
use crate::{constants, provenance, spec};
use serde_json::Value;

/// The answer, with its reason for the log and for `doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Selected(&'static str),
    Skipped(&'static str),
    /// Another shim of ours, or the `precreate` hook, has edited the document already.
    AlreadyInjected,
}

/// The decision on a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    pub verdict: Verdict,
    /// The document as we read it: the annotations of ours in it are the user's.
    pub spec: Value,
    /// What is said in it and not followed, for the log.
    pub ignored: Vec<String>,
    /// What a container that is to be managed asks for and does not get: `on_error` decides.
    pub wrong: Vec<Wrong>,
}

/// Decides on a config.json whose image has these annotations.
pub fn select(spec: &Value, said: &ImageAnnotations, settings: &RuntimeSettings) -> Selection {
    let (spec, mut ignored) = provenance::separate(spec, said, settings);
    let verdict = decide(&spec, settings);
    let wrong = match verdict {
        Verdict::Selected(_) => wishes::wrong(&spec, settings),
        // Who meant to select it by an annotation has to hear of it.
        Verdict::Skipped(NO_SIGN) => {
            ignored.extend(wishes::annotations(&spec));
            Vec::new()
        }
        Verdict::Skipped(_) | Verdict::AlreadyInjected => Vec::new(),
    };
    Selection { verdict, spec, ignored, wrong }
}

const NO_SIGN: &str = "no sign of a GPU";

/// An explicit annotation decides first, then an explicit variable, then the signs of a GPU.
fn decide(spec: &Value, settings: &RuntimeSettings) -> Verdict {
    if spec::is_injected(spec) {
        return Verdict::AlreadyInjected;
    }
    // It has the pod's annotations, but runs none of its programs.
    if SANDBOX.iter().any(|name| spec::annotation(spec, name) == Some("sandbox")) {
        return Verdict::Skipped("the sandbox container of a pod");
    }
    match spec::annotation(spec, constants::ENABLE_ANNOTATION).and_then(spec::yes_or_no) {
        Some(true) => return Verdict::Selected("annotation io.nvshare.enable"),
        Some(false) => return Verdict::Skipped("annotation io.nvshare.enable"),
        None => {}
    }
    match spec::variable(spec, constants::ENABLE_VARIABLE).and_then(spec::yes_or_no) {
        Some(true) if settings.may_set("enable") => return Verdict::Selected("variable NVSHARE_ENABLE"),
        Some(false) if settings.may_set("disable") => return Verdict::Skipped("variable NVSHARE_ENABLE"),
        _ => {}
    }
    if constants::TENANT_OPTIONS.iter().any(|option| spec::annotation(spec, option.annotation).is_some()) {
        return Verdict::Selected("an io.nvshare annotation");
    }
    if spec::has_cdi_mounts(spec) {
        return Verdict::Selected("CDI device nvshare.io/gpu");
    }
    if let Some(devices) = spec::variable(spec, "NVIDIA_VISIBLE_DEVICES")
        && !matches!(devices, "" | "void" | "none")
    {
        return Verdict::Selected("variable NVIDIA_VISIBLE_DEVICES");
    }
    if has_cdi_request(spec) {
        return Verdict::Selected("a GPU among the CDI annotations");
    }
    if spec::variables(spec).any(|(name, value)| is_swarm_gpu(name, value)) {
        return Verdict::Selected("variable DOCKER_RESOURCE_...");
    }
    if spec::list(spec, "/linux/devices").any(|device| is_gpu_node(spec::text(device, "path"))) {
        return Verdict::Selected("a GPU among the devices");
    }
    if spec::mounts(spec).any(|(destination, mount)| {
        is_gpu_node(destination)
            || is_gpu_node(spec::text(mount, "source"))
            || destination.starts_with("/var/run/nvidia-container-devices/")
    }) {
        return Verdict::Selected("a GPU among the mounts");
    }
    let stages = ["/hooks/prestart", "/hooks/createRuntime", "/hooks/createContainer"];
    let mut hooks = stages.iter().flat_map(|stage| spec::list(spec, stage));
    if hooks.any(|hook| is_nvidia_hook(spec::text(hook, "path"))) {
        return Verdict::Selected("an nvidia hook");
    }
    Verdict::Skipped(NO_SIGN)
}

/// Kubernetes asks for devices by annotations (`cdi.k8s.io/NAME: nvidia.com/gpu=0`); those of NVIDIA's own prefix
/// (`nvidia.cdi.k8s.io/NAME`) are for its runtime alone, which then is told `NVIDIA_VISIBLE_DEVICES=void` besides.
fn has_cdi_request(spec: &Value) -> bool {
    spec::annotations(spec).filter_map(|(name, value)| Some((name.split_once('/')?.0, value.as_str()?))).any(
        |(prefix, value)| {
            let of_nvidia = |device: &str| {
                device
                    .trim()
                    .split('/')
                    .next()
                    .is_some_and(|vendor| vendor == "nvidia.com" || vendor.ends_with(".nvidia.com"))
            };
            match prefix {
                "nvidia.cdi.k8s.io" => !value.is_empty(),
                "cdi.k8s.io" => value.split(',').any(of_nvidia),
                _ => false,
            }
        },
    )
}

/// Swarm tells its generic resources by variables: the name is the operator's, the value usually a device's UUID.
fn is_swarm_gpu(name: &str, value: &str) -> bool {
    name.strip_prefix("DOCKER_RESOURCE_").is_some_and(|resource| {
        let resource = resource.to_ascii_uppercase();
        let known = ["GPU", "NVIDIA"].iter().any(|word| resource.contains(word));
        let uuid = value.split(',').any(|device| device.starts_with("GPU-") || device.starts_with("MIG-"));
        !matches!(value, "" | "void" | "none") && (known || uuid)
    })
}

/// How containerd and CRI-O name the kind of a container.
const SANDBOX: [&str; 2] = ["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"];

fn is_gpu_node(path: &str) -> bool {
    // How WSL shows every GPU.
    if path == "/dev/dxg" {
        return true;
    }
    let Some(rest) = path.strip_prefix("/dev/nvidia") else {
        return false;
    };
    rest == "ctl" || (!rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_nvidia_hook(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    ["nvidia-container-runtime-hook", "nvidia-container-toolkit", "nvidia-ctk", "nvidia-cdi-hook"]
        .iter()
        .any(|known| name.strip_suffix(".real").unwrap_or(name) == *known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with_env(entries: &[&str]) -> Value {
        json!({"process": {"env": entries}})
    }

    #[test]
    fn what_makes_a_gpu_container() {
        let settings = RuntimeSettings::default();
        for (spec, ours) in [
            (with_env(&["NVIDIA_VISIBLE_DEVICES=all"]), true),
            (with_env(&["NVIDIA_VISIBLE_DEVICES=0", "NVIDIA_VISIBLE_DEVICES=void"]), false),
            (with_env(&["NVIDIA_VISIBLE_DEVICES=none", "NVIDIA_VISIBLE_DEVICES=GPU-x"]), true),
            (with_env(&["NVIDIA_VISIBLE_DEVICES="]), false),
            (with_env(&["NVIDIA_VISIBLE_DEVICES_X=all"]), false),
            (json!({"linux": {"devices": [{"path": "/dev/nvidia0"}]}}), true),
            (json!({"linux": {"devices": [{"path": "/dev/nvidiactl"}]}}), true),
            (
                json!({"linux": {"devices": [{"path": "/dev/nvidia-modeset"}, {"path": "/dev/nvidia"}]}}),
                false,
            ),
            (
                json!({"mounts": [{"destination": "/var/run/nvidia-container-devices/all", "source": "/dev/null"}]}),
                true,
            ),
            (json!({"mounts": [{"destination": "/dev/nvidia1", "source": "/dev/nvidia1"}]}), true),
            (json!({"mounts": [{"destination": "/dev/nvshare/libnvshare.so", "source": "/x"}]}), true),
            (json!({"hooks": {"prestart": [{"path": "/usr/bin/nvidia-container-runtime-hook"}]}}), true),
            (json!({"hooks": {"createContainer": [{"path": "/usr/bin/other"}]}}), false),
            (json!({"annotations": {"cdi.k8s.io/plugin_0": "vendor.org/nic=1,nvidia.com/gpu=0"}}), true),
            (json!({"annotations": {"cdi.k8s.io/plugin_0": "runtime.nvidia.com/gpu=all"}}), true),
            (json!({"annotations": {"cdi.k8s.io/plugin_0": "xnvidia.com/gpu=0"}}), false),
            (json!({"annotations": {"cdi.k8s.io/plugin_0": 3, "x": "nvidia.com/gpu=0"}}), false),
            (
                json!({"annotations": {"nvidia.cdi.k8s.io/x": "GPU-1"}, "process": {"env": ["NVIDIA_VISIBLE_DEVICES=void"]}}),
                true,
            ),
            (with_env(&["DOCKER_RESOURCE_GPU=GPU-1"]), true),
            (with_env(&["DOCKER_RESOURCE_CARD=MIG-1"]), true),
            (with_env(&["DOCKER_RESOURCE_SSD=1"]), false),
            (with_env(&["DOCKER_RESOURCE_GPU=none"]), false),
            (json!({"linux": {"devices": [{"path": "/dev/dxg"}]}}), true),
            (json!({"mounts": [{"destination": "/dev/dxg", "source": "/dev/dxg"}]}), true),
            (json!({}), false),
            (json!({"process": 3, "mounts": "x", "linux": [], "annotations": null, "hooks": 1}), false),
        ] {
            assert_eq!(matches!(decide(&spec, &settings), Verdict::Selected(_)), ours, "{spec}");
        }
    }

    #[test]
    fn an_explicit_word_decides_first_and_the_annotation_before_the_variable() {
        let settings = RuntimeSettings::default();
        let mut spec = with_env(&["NVIDIA_VISIBLE_DEVICES=all", "NVSHARE_ENABLE=0"]);
        assert_eq!(decide(&spec, &settings), Verdict::Skipped("variable NVSHARE_ENABLE"));
        spec["annotations"] = json!({"io.nvshare.enable": "true"});
        assert_eq!(decide(&spec, &settings), Verdict::Selected("annotation io.nvshare.enable"));
        spec["annotations"] =
            json!({"io.nvshare.injected": "env /dev/nvshare", "io.nvshare.enable": "false"});
        assert_eq!(decide(&spec, &settings), Verdict::Skipped("annotation io.nvshare.enable"));
        spec["mounts"] = json!([{"destination": "/dev/nvshare/libnvshare.so"}]);
        assert_eq!(decide(&spec, &settings), Verdict::AlreadyInjected);
    }

    /// GUEST: a warning for each sandbox container of a pod with an annotation of ours.
    #[test]
    fn a_sandbox_is_passed_over_whatever_its_pod_says() {
        for name in SANDBOX {
            let mut spec = with_env(&["NVIDIA_VISIBLE_DEVICES=all"]);
            spec["annotations"] =
                json!({"io.nvshare.enable": "true", "io.nvshare.weight": "2", name: "container"});
            assert!(matches!(decide(&spec, &RuntimeSettings::default()), Verdict::Selected(_)));
            spec["annotations"][name] = json!("sandbox");
            assert!(matches!(decide(&spec, &RuntimeSettings::default()), Verdict::Skipped(_)));
        }
    }

    #[test]
    fn an_image_opts_out_only_where_the_policy_lets_it() {
        let settings = RuntimeSettings { image_may_set: vec!["enable".into()], ..RuntimeSettings::default() };
        let out = with_env(&["NVIDIA_VISIBLE_DEVICES=all", "NVSHARE_ENABLE=0"]);
        assert_eq!(decide(&out, &settings), Verdict::Selected("variable NVIDIA_VISIBLE_DEVICES"));
        let into = with_env(&["NVSHARE_ENABLE=1"]);
        assert_eq!(decide(&into, &settings), Verdict::Selected("variable NVSHARE_ENABLE"));
    }
}
