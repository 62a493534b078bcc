//! Every static and thread-local of this library, and what becomes of it.
//!
//! A forked child has a copy of each, with the threads of its parent gone. Only the first two are reset in it
//! (`start.rs`): what belongs to the process that initialised CUDA. The caches are right in the child too. Nothing here is
//! a lock that another thread could have held at the fork, but for the two `OnceLock`s and `FORK_HANDLER`: each is done with
//! within microseconds, once, by a lookup of CUDA's functions or by `cuInit`.
//!
//! The library is preloaded, so that it is never unloaded, and stands in the program's own namespace alone: a namespace
//! that `dlmopen` makes has none of it, and no second copy of these exists.
//!
//! | static | in | what it is | in a forked child | before `cuInit`, or at a `dlopen` |
//! |---|---|---|---|---|
//! | `PROCESS` | `process.rs` | all state of this process | reset: the child initialises CUDA anew | null until the first `cuInit` |
//! | `REGISTRY` | `sys/guarded_fd.rs` | our descriptors in the program's table | closed, reset | empty |
//! | `FORK_HANDLER` | `start.rs` | whether the fork handler is registered | kept, as the handler is | unset |
//! | `DEEPBIND` | `bypass.rs` | whether a file was opened with `RTLD_DEEPBIND` | kept, as the file is | set by such a `dlopen` |
//! | `WATCHED` | `symbols/namespaces.rs` | whether a thread looks for drivers elsewhere | kept, without the thread | set by the first `dlmopen` of another namespace |
//! | `LEVEL` | `sys/log.rs` | what is said on stderr | kept, and set anew by `cuInit` | warnings |
//! | `BEGAN` | `sys/stderr.rs` | which file descriptor 2 was when the program began | kept: the child has it too | set before the program begins |
//! | `DROPPED` | `sys/stderr.rs` | lines that nobody could be given | kept, and told of by whoever says the next | none |
//! | `REMEMBER` | `sys/stderr.rs` | the function that the dynamic linker calls, for `BEGAN` | kept | constant |
//! | `INTERPOSED` | `driver/table.rs` | addresses of the driver's functions that we interpose | kept: the same file is loaded | filled by the first call or lookup of each |
//! | `ADDRESS` | `driver/table.rs` | the address of each other function of the driver's | kept | filled by the first call of each |
//! | `LIBCUDA` | `driver/table.rs` | the driver's handle | kept | opened by the first lookup, asked again while there is none |
//! | `BY_ADDRESS` | `driver/table.rs` | interposed functions by the driver's address | kept | filled by the first `cuGetProcAddress` |
//! | `BY_NAME` | `symbols/entry.rs` | interposed functions by name | kept | filled by the first `dlsym` of a name with "cu" |
//! | `DLSYM` | `symbols/glibc.rs` | glibc's function | kept | filled by the first call |
//! | `DLOPEN` | `symbols/dlopen.rs` | glibc's function | kept | filled by the first call |
//! | `DLMOPEN` | `symbols/dlopen.rs` | glibc's function | kept | filled by the first call |
//! | `IN_CALL` | `dispatch.rs` | thread-local: this thread is inside a call of the application's | kept of the thread that forks | unset |
//! | `THREAD` | `driver/stream.rs` | thread-local: this thread's number | kept of the thread that forks | given at first need |
//! | `NEXT_THREAD` | `driver/stream.rs` | the next thread's number | kept | 1 |
//! | `HELD` | `sys/lock.rs` | thread-local, debug builds: the ranks of the locks that this thread holds | kept of the thread that forks | none |

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    /// The statics of the files below a folder, as `NAME` and the file's path.
    fn statics(folder: &Path, below: &Path, found: &mut BTreeSet<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                statics(&path, below, found);
                continue;
            }
            let file = path.strip_prefix(below).unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for (_, rest) in code.filter_map(|line| line.split_once("static ")) {
                let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                // Not a lifetime, and not what the linker provides.
                if rest[name.len()..].starts_with(':') && !name.starts_with('_') {
                    found.insert((name, file.clone()));
                }
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "reads the sources")]
    fn every_static_stands_on_this_page() {
        let below = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = BTreeSet::new();
        statics(&below, &below, &mut found);
        let page = include_str!("statics.rs");
        let rows = page.lines().filter_map(|line| line.strip_prefix("//! | `")?.split_once("` | `"));
        let listed: BTreeSet<_> =
            rows.map(|(name, rest)| (name.to_owned(), rest.split('`').next().unwrap().to_owned())).collect();
        assert_eq!(found, listed);
    }
}
