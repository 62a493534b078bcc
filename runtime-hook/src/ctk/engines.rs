//! The engines: where their configuration lies and who knows how to change it.

use super::change::{Change, NAME};
use super::{containerd, docker, podman, podman_hook};
use anyhow::Result;
use std::path::Path;
use std::process::{Command, Stdio};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    Docker,
    Containerd,
    Crio,
    Podman,
    /// The hook for podman's containers of any runtime; the packages set it up.
    PodmanHook,
}

impl Engine {
    pub const ALL: [Engine; 5] =
        [Engine::Docker, Engine::Containerd, Engine::Crio, Engine::Podman, Engine::PodmanHook];

    pub fn usual_file(self) -> &'static str {
        match self {
            Engine::Docker => "/etc/docker/daemon.json",
            Engine::Containerd => "/etc/containerd/config.toml",
            Engine::Crio => "/etc/crio/crio.conf.d/99-nvshare.conf",
            Engine::Podman => "/etc/containers/containers.conf.d/99-nvshare.conf",
            Engine::PodmanHook => podman_hook::DROP_IN,
        }
    }

    /// Whether nobody but us writes the usual file, so that it goes with the last thing in it.
    pub fn usual_file_is_ours(self) -> bool {
        matches!(self, Engine::Crio | Engine::Podman | Engine::PodmanHook)
    }

    /// The text of a configuration after a change. What the change does not concern stays as it is, and a
    /// change that has been made already gives the same text.
    ///
    /// # Errors
    /// The text is not what the engine would read, or has something else in the place of a section.
    pub fn change(self, text: &str, change: &Change) -> Result<String> {
        match self {
            Engine::Docker => docker::change(text, change),
            Engine::Containerd => containerd::change(text, change),
            Engine::Crio => podman::change_crio(text, change),
            Engine::Podman => podman::change(text, change),
            Engine::PodmanHook => {
                podman_hook::change(text, change, &podman_hook::named(Some(Path::new(podman_hook::DROP_IN))))
            }
        }
    }

    /// Has the engine read its usual file again, if it runs and that touches no container; whether it has.
    pub fn reload(self) -> bool {
        let systemctl = |words: &[&str]| {
            let done =
                Command::new("systemctl").args(words).arg("docker.service").stdin(Stdio::null()).output();
            done.is_ok_and(|done| done.status.success())
        };
        // dockerd takes new runtimes up by a signal; the others would have to be restarted.
        self == Engine::Docker && systemctl(&["--quiet", "is-active"]) && systemctl(&["reload"])
    }

    /// How to end the use of the runtime without `nvshare-ctk`.
    pub fn by_hand(self, path: &Path) -> String {
        let path = path.display();
        match self {
            Engine::Docker => format!(
                "Remove the containers (docker rm -f CONTAINER...), take `runtimes.{NAME}` out of {path}, then: \
                 systemctl reload docker; rm -f /usr/bin/nvshare-runtime"
            ),
            Engine::Podman => format!(
                "Remove the containers (podman rm -f CONTAINER..., as the user whose they are), then: rm -f {path} \
                 /usr/bin/nvshare-runtime"
            ),
            Engine::Containerd | Engine::Crio | Engine::PodmanHook => format!(
                "Remove the containers, take the runtime {NAME} out of {path} and restart the engine, then: rm -f \
                 /usr/bin/nvshare-runtime"
            ),
        }
    }

    /// What to do after a change: one that has made the runtime known, or has taken it out.
    pub fn advice(self, known: bool) -> &'static str {
        match self {
            Engine::Docker => "Tell dockerd: systemctl reload docker",
            Engine::Containerd => "Tell containerd: systemctl restart containerd",
            Engine::Crio => "Tell CRI-O: systemctl restart crio",
            Engine::Podman if known => "podman reads it at its next start: podman --runtime nvshare run ...",
            Engine::Podman => "podman reads it at its next start.",
            Engine::PodmanHook => "podman reads it at its next start.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configure(set_as_default: bool) -> Change {
        Change::Configure { path: "/usr/bin/nvshare-runtime".into(), set_as_default }
    }

    const ENGINES: [Engine; 4] = [Engine::Docker, Engine::Containerd, Engine::Crio, Engine::Podman];

    #[test]
    fn twice_is_once_and_taking_out_leaves_what_stood_there() {
        let docker = "{\n    \"log-level\": \"warn\",\n    \"runtimes\": {\n        \"x\": {\n            \"path\": \"/x\"\n        }\n    }\n}\n";
        let containerd =
            "# why\nversion = 2\n[plugins.\"io.containerd.grpc.v1.cri\"] # cri\nsandbox_image = \"p\"\n";
        let podman = "# mine\n[engine]\nnum_locks = 9 # many\n";
        for (engine, before) in ENGINES.into_iter().zip([docker, containerd, podman, podman]) {
            for default in [false, true] {
                let once = engine.change(before, &configure(default)).unwrap();
                assert_ne!(once, before);
                assert_eq!(engine.change(&once, &configure(default)).unwrap(), once, "{engine:?}");
                let kept = engine.change(&once, &Change::UnsetDefault).unwrap();
                assert!(kept.contains("nvshare-runtime"), "{engine:?}: {kept}");
                assert_eq!(engine.change(&kept, &Change::UnsetDefault).unwrap(), kept, "{engine:?}");
                let out = engine.change(&once, &Change::Unconfigure).unwrap();
                assert_eq!(out, before, "{engine:?}");
                assert_eq!(engine.change(before, &Change::Unconfigure).unwrap(), before, "{engine:?}");
            }
        }
    }

    #[test]
    fn an_empty_file_gets_what_the_engine_needs() {
        for (engine, lines) in [
            (
                Engine::Docker,
                &["\"path\": \"/usr/bin/nvshare-runtime\"", "\"default-runtime\": \"nvshare\""][..],
            ),
            (
                Engine::Containerd,
                &[
                    "version = 2",
                    "runtime_type = \"io.containerd.runc.v2\"",
                    "BinaryName = \"/usr/bin/nvshare-runtime\"",
                    "pod_annotations = [\"io.nvshare.*\"]",
                    "default_runtime_name = \"nvshare\"",
                ],
            ),
            (
                Engine::Crio,
                &[
                    "[crio.runtime.runtimes.nvshare]",
                    "runtime_path = \"/usr/bin/nvshare-runtime\"",
                    "default_runtime = \"nvshare\"",
                ],
            ),
            (
                Engine::Podman,
                &[
                    "[engine.runtimes]",
                    "nvshare = [\"/usr/bin/nvshare-runtime\"]",
                    "\"crun\", \"runc\"",
                    "runtime = \"nvshare\"",
                ],
            ),
        ] {
            let text = engine.change("", &configure(true)).unwrap();
            for line in lines {
                assert!(text.contains(line), "{engine:?} lacks {line}:\n{text}");
            }
        }
    }

    #[test]
    fn containerd_2_has_another_name_for_its_plugin() {
        let text = Engine::Containerd.change("version = 3\n", &configure(false)).unwrap();
        assert!(text.contains("io.containerd.cri.v1.runtime"), "{text}");
        assert!(!text.contains("grpc"), "{text}");
    }

    #[test]
    fn a_version_that_is_not_known_is_named() {
        for (version, expected) in
            [(1, "run `containerd config migrate` first"), (4, "version 4 (known: 2 and 3)")]
        {
            let text = format!("version = {version}\n[plugins.cri]\n");
            let error = Engine::Containerd.change(&text, &configure(false)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn comments_and_order_stay() {
        let before = "# a\nversion = 2\n\n# b\n[plugins]\n  # c\n  [plugins.\"io.containerd.grpc.v1.cri\".containerd] # d\n    default_runtime_name = \"runc\" # e\n";
        let after = Engine::Containerd.change(before, &configure(false)).unwrap();
        assert!(after.starts_with(before.trim_end()), "{after}");
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        for (engine, text) in [
            (Engine::Docker, "{"),
            (Engine::Docker, "[]"),
            (Engine::Docker, "{\"runtimes\": 3}"),
            (Engine::Containerd, "version ="),
            (Engine::Containerd, "version = 1\n[plugins.cri]\n"),
            (Engine::Containerd, "version = 2\nplugins = 3\n"),
            (Engine::Podman, "engine = 3\n"),
        ] {
            assert!(engine.change(text, &configure(false)).is_err(), "{engine:?} {text}");
        }
    }
}
