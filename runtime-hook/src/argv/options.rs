//! The options of runc 1.1 to 1.4, crun 1.8 to 1.28 and youki 0.6 that we have to know: all that take a
//! value (so that the value is not taken for a command or a name), and the flags with a short letter.

/// One option of one position.
#[derive(Debug, PartialEq, Eq)]
pub struct Opt {
    pub long: &'static str,
    pub short: Option<u8>,
    pub takes_value: bool,
    /// Says which containers are meant, so `state` must be asked with it too.
    pub scope: bool,
}

const fn value(long: &'static str, short: Option<u8>) -> Opt {
    Opt { long, short, takes_value: true, scope: false }
}
const fn flag(long: &'static str, short: Option<u8>) -> Opt {
    Opt { long, short, takes_value: false, scope: false }
}
const fn scope(option: Opt) -> Opt {
    Opt { scope: true, ..option }
}

pub const GLOBAL: &[Opt] = &[
    scope(value("root", Some(b'r'))),
    scope(value("rootless", None)),
    scope(value("cgroup-manager", None)),
    scope(value("criu", None)),
    scope(flag("systemd-cgroup", Some(b's'))),
    value("log", Some(b'l')),
    value("log-format", None),
    value("log-level", None),
    flag("debug", None),
];

/// What runtimes know as commands: words that are no value of an option that we do not know.
pub const COMMANDS: &[&[u8]] = &[
    b"checkpoint",
    b"create",
    b"delete",
    b"events",
    b"exec",
    b"features",
    b"info",
    b"init",
    b"kill",
    b"list",
    b"pause",
    b"ps",
    b"restore",
    b"resume",
    b"run",
    b"spec",
    b"start",
    b"state",
    b"update",
    b"wait",
];

/// `create`, `run` and `restore` together: no name has two meanings among them.
pub const START: &[Opt] = &[
    value("bundle", Some(b'b')),
    value("config", Some(b'f')),
    value("console-socket", Some(b'c')),
    value("pidfd-socket", None),
    value("pid-file", Some(b'p')),
    value("preserve-fds", None),
    value("image-path", None),
    value("work-path", None),
    value("parent-path", None),
    value("manage-cgroups-mode", None),
    value("empty-ns", None),
    value("status-fd", None),
    value("page-server", None),
    value("lsm-profile", None),
    value("lsm-mount-context", None),
    flag("detach", Some(b'd')),
    flag("keep", None),
];

pub const EXEC: &[Opt] = &[
    value("process", Some(b'p')),
    value("console-socket", None),
    value("pidfd-socket", None),
    value("pid-file", None),
    value("cwd", None),
    value("env", Some(b'e')),
    value("user", Some(b'u')),
    value("additional-gids", Some(b'g')),
    value("process-label", None),
    value("apparmor", None),
    value("cap", Some(b'c')),
    value("preserve-fds", None),
    value("cgroup", None),
    flag("detach", Some(b'd')),
    flag("tty", Some(b't')),
];

pub const DELETE: &[Opt] = &[flag("force", Some(b'f')), flag("regex", Some(b'r'))];

pub fn find_long(table: &'static [Opt], name: &[u8]) -> Option<&'static Opt> {
    table.iter().find(|option| option.long.as_bytes() == name)
}

pub fn find_short(table: &'static [Opt], letter: u8) -> Option<&'static Opt> {
    table.iter().find(|option| option.short == Some(letter))
}
