//! Where the sockets lie, below the runtime directory.

/// The runtime directory unless `--runtime-dir` moves it.
pub const RUNTIME_DIR: &str = "/run/nvshare";
/// The directory that is bound into containers. A directory and not the socket, because a bound
/// socket is dead after the scheduler's restart.
pub const TENANTS_DIR: &str = "tenants";
/// What a container's processes may, beside [`CONTAINER_TENANTS_DIRS`]: lines `NAME=value` of the library's variables.
/// Their environment can ask for less and not for more.
pub const CONTAINER_POLICY: &str = "policy";
/// The tenants' socket, in [`TENANTS_DIR`].
pub const TENANT_SOCKET: &str = "scheduler.sock";
/// The operators' socket, in the runtime directory.
pub const CONTROL_SOCKET: &str = "control.sock";
/// The socket of those who may see all and set nothing, in the runtime directory.
pub const READER_SOCKET: &str = "reader.sock";
/// Everybody's socket, where each user sees their own tenants, in the runtime directory.
pub const USER_SOCKET: &str = "user.sock";
/// Where the tenants' socket lies on the host by default.
pub const DEFAULT_TENANT_SOCKET: &str = "/run/nvshare/tenants/scheduler.sock";
/// Where the tenants' directory may be bound inside a container: at one of these.
pub const CONTAINER_TENANTS_DIRS: [&str; 3] = ["/dev/nvshare/run", "/run/nvshare/run", "/.nvshare/run"];
/// Where Slurm's plugin says what each step of a job may, in one file a step. A directory of root's beside the runtime
/// directory, which is the scheduler's own user's.
pub const SLURM_JOBS_DIR: &str = "/run/nvshare-slurm";
/// Slurm's plugin as the packages have it: without the number of a version of Slurm.
pub const SPANK_PLUGIN_TEMPLATE: &str = "/usr/lib/nvshare/nvshare_spank.so.in";
/// The same with the number of the Slurm that is installed.
pub const SPANK_PLUGIN: &str = "/usr/lib/nvshare/nvshare_spank.so";
