//! Every name that users, images and other programs meet.

pub use nvshare_protocol::paths::{CONTAINER_POLICY, RUNTIME_DIR, TENANT_SOCKET, TENANTS_DIR};

/// Where the settings lie unless [`CONFIG_VARIABLE`] says otherwise.
pub const CONFIG_FILE: &str = "/etc/nvshare/config.toml";
/// Moves the settings file, for tests. Read from the engine's environment, never from the container's.
pub const CONFIG_VARIABLE: &str = "NVSHARE_CONFIG_FILE";
/// The shim on the host.
pub const SHIM: &str = "/usr/bin/nvshare-runtime";
/// The library on the host.
pub const LIBRARY: &str = "/usr/lib/nvshare/libnvshare.so";
/// The library's name in a container.
pub const LIBRARY_NAME: &str = "libnvshare.so";
/// A prepared `/etc/ld.so.preload` beside the library, for images that have none of their own.
pub const PRELOAD_NAME: &str = "ld.so.preload";
/// This container's merged `/etc/ld.so.preload`, in its bundle.
pub const MERGED_PRELOAD_NAME: &str = "nvshare-ld.so.preload";
/// This container's policy, in its bundle.
pub const POLICY_NAME: &str = "nvshare-policy";
/// The empty library for 32-bit programs, in a container's bundle.
pub const STUB_NAME: &str = "nvshare-32.so";
/// What the loader of x86-64 puts for `$PLATFORM` (kernel's `AT_PLATFORM`, glibc's `sysdeps/x86/cpu-features.c`).
pub const PLATFORMS: [&str; 3] = ["x86_64", "haswell", "xeon_phi"];
/// What the loader of i386 puts there.
pub const PLATFORMS_32: [&str; 2] = ["i686", "i586"];
/// Where writable copies of `/etc/ld.so.preload` lie, in one directory for each container, if its bundle lies in memory.
pub const WRITABLE_PRELOADS: &str = "/var/lib/nvshare/preload";
/// What the last start of a bundle found and wrote, in the bundle.
pub const START_RECORD_NAME: &str = "nvshare-start.json";
/// The config.json of a bundle as its user wrote it.
pub const ORIGINAL_DOCUMENT_NAME: &str = "nvshare-original-config.json";
/// The dynamic loader's list of libraries for every program.
pub const ETC_PRELOAD: &str = "/etc/ld.so.preload";

/// Where our mounts go in a container: `/dev` is a tmpfs there, so nothing is left behind in the image.
pub const PLACE: &str = "/dev/nvshare";
/// The places to use when something other than a tmpfs is mounted at `/dev`.
pub const OTHER_PLACES: [&str; 2] = ["/run/nvshare", "/.nvshare"];
/// Whether a path is a place of ours. Whoever starts a container can write anything into its annotations.
pub fn is_place(path: &str) -> bool {
    path == PLACE || OTHER_PLACES.contains(&path)
}

/// The library at a place, by a name that each kind of loader reads as its own.
pub fn library_by_platform(place: &str) -> String {
    format!("{place}/$PLATFORM/{LIBRARY_NAME}")
}

/// The tenants' directory below the place.
pub const PLACE_RUN: &str = "run";

/// Tells the library where the scheduler is.
pub const SOCKET_VARIABLE: &str = "NVSHARE_SOCKET";
/// What the names of our annotations begin with.
pub const ANNOTATIONS: &str = "io.nvshare.";
/// Says yes or no to being managed, as a variable and as an annotation.
pub const ENABLE_VARIABLE: &str = "NVSHARE_ENABLE";
pub const ENABLE_ANNOTATION: &str = "io.nvshare.enable";
/// Set by us: the methods used and the place, `env+file /dev/nvshare`.
pub const INJECTED_ANNOTATION: &str = "io.nvshare.injected";
/// Set by us for the runtime below: which runtimes this start has been through.
pub const CHAIN_VARIABLE: &str = "NVSHARE_RUNTIME_CHAIN";

/// Whether an annotation is one that users give.
pub fn is_user_annotation(annotation: &str) -> bool {
    annotation == ENABLE_ANNOTATION || TENANT_OPTIONS.iter().any(|option| option.annotation == annotation)
}

/// What a container's author may set about the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantOption {
    /// Its word in `image_may_set`.
    pub word: &'static str,
    pub annotation: &'static str,
    pub variable: &'static str,
}

pub const TENANT_OPTIONS: [TenantOption; 6] = [
    TenantOption { word: "mem-limit", annotation: "io.nvshare.mem-limit", variable: "NVSHARE_MEM_LIMIT" },
    TenantOption { word: "weight", annotation: "io.nvshare.weight", variable: "NVSHARE_WEIGHT" },
    TenantOption { word: "priority", annotation: "io.nvshare.priority", variable: "NVSHARE_PRIORITY" },
    TenantOption { word: "time-share", annotation: "io.nvshare.time-share", variable: "NVSHARE_TIME_SHARE" },
    TenantOption { word: "engine", annotation: "io.nvshare.engine", variable: "NVSHARE_ENGINE" },
    // It names processes of the same container alone, so that an image takes nothing from others by it.
    TenantOption { word: "gang", annotation: "io.nvshare.gang", variable: "NVSHARE_GANG" },
];

/// The oldest glibc that a library without version needs of its own would be tried on.
pub const GLIBC_FLOOR: (u32, u32) = (2, 17);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_looks_for_its_socket_at_every_place() {
        let runs = [PLACE].into_iter().chain(OTHER_PLACES).map(|place| format!("{place}/{PLACE_RUN}"));
        assert_eq!(runs.collect::<Vec<_>>(), nvshare_protocol::paths::CONTAINER_TENANTS_DIRS);
    }
}
