//! The CDI device `nvshare.io/gpu=shared`: what makes a GPU container a shared one. The GPU itself comes from
//! another device or flag. No environment: CDI would replace the user's `LD_PRELOAD`, and break musl.

use crate::constants;
use crate::settings::RuntimeSettings;
use serde_json::json;

/// The specification, version 0.5.0: the oldest that docker and podman with CDI read.
pub fn specification(settings: &RuntimeSettings) -> String {
    let library = format!("{}/{}", constants::PLACE, constants::LIBRARY_NAME);
    let run = format!("{}/{}", constants::PLACE, constants::PLACE_RUN);
    let specification = json!({
        "cdiVersion": "0.5.0",
        "kind": "nvshare.io/gpu",
        "devices": [{"name": "shared", "containerEdits": {
            "mounts": [
                {
                    "hostPath": settings.library, "containerPath": library,
                    "options": ["ro", "nosuid", "nodev", "bind"],
                },
                {
                    "hostPath": settings.tenants_dir, "containerPath": run,
                    "options": ["ro", "nosuid", "nodev", "noexec", "rbind"],
                },
            ],
            "hooks": [{
                "hookName": "createContainer",
                "path": "/usr/bin/nvshare-hook",
                "args": ["nvshare-hook", "createContainer"],
            }],
        }}],
    });
    format!("{specification:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_is_the_one_that_engines_were_tried_with() {
        assert_eq!(specification(&RuntimeSettings::default()), include_str!("cdi.json"));
    }
}
