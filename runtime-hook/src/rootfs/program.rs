//! Which loader the container's program names. Distributions keep the loader in different places, but a program always
//! names the right one.

use super::view::{Found, View};
use crate::spec;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, ReadCache, ReadRef, elf::FileHeader64, elf::PN_XNUM, elf::PT_INTERP};
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};

/// How often one script may name another as its interpreter, as the kernel has it.
const SCRIPTS: usize = 5;
/// The longest path of a loader, in bytes: the kernel's `PATH_MAX`.
const PATH_LIMIT: u64 = 4096;
/// Where programs are looked for without a `PATH`.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The loader that the container's program names, if it is found and names one. A small init that is linked statically
/// starts the program after `--`.
pub fn loader_of(view: &View, spec: &Value) -> Option<String> {
    let args: Vec<&str> =
        spec.pointer("/process/args")?.as_array()?.iter().filter_map(Value::as_str).collect();
    let after_init = args.iter().position(|arg| *arg == "--").and_then(|at| args.get(at + 1));
    [args.first(), after_init].into_iter().flatten().find_map(|program| {
        let (found, mut path) = find(view, spec, program)?;
        interpreter(view, &found, &mut path, SCRIPTS)
    })
}

/// Where a program's name leads to.
fn find(view: &View, spec: &Value, name: &str) -> Option<(Found, String)> {
    let process = spec.get("process")?;
    let cwd = Path::new("/").join(spec::text(process, "cwd"));
    let candidates: Vec<PathBuf> = if name.contains('/') {
        vec![cwd.join(name)]
    } else {
        let path = spec::variable(spec, "PATH").unwrap_or(USUAL_PATH);
        path.split(':').map(|directory| cwd.join(directory).join(name)).collect()
    };
    candidates.iter().find_map(|path| {
        let path = path.to_str()?;
        let found = view.find(path).ok()?;
        found.is_file().then(|| (found, path.to_owned()))
    })
}

fn interpreter(view: &View, found: &Found, path: &mut String, scripts: usize) -> Option<String> {
    let mut start = Vec::new();
    found.open().ok()?.take(256).read_to_end(&mut start).ok()?;
    if let Some(line) = start.strip_prefix(b"#!") {
        let line = String::from_utf8_lossy(line.split(|byte| *byte == b'\n').next()?).into_owned();
        *path = line.split_whitespace().next()?.to_owned();
        let next = view.find(path).ok()?;
        return (scripts > 0).then(|| interpreter(view, &next, path, scripts - 1))?;
    }
    named_by(&ReadCache::new(found.open().ok()?))
}

/// The `PT_INTERP` of a 64-bit program.
fn named_by<'data>(data: impl ReadRef<'data>) -> Option<String> {
    let header = FileHeader64::<Endianness>::parse(data).ok()?;
    let endian = header.endian().ok()?;
    // No program has more headers than fit into their number; where they did, a section would say how much to read.
    if header.e_phnum(endian) == PN_XNUM {
        return None;
    }
    let program = header.program_headers(endian, data).ok()?;
    let segment = program.iter().find(|segment| segment.p_type(endian) == PT_INTERP)?;
    if segment.p_filesz(endian) > PATH_LIMIT {
        return None;
    }
    let path = segment.data(endian, data).ok()?.split(|byte| *byte == 0).next()?;
    std::str::from_utf8(path).ok().filter(|path| path.starts_with('/')).map(String::from)
}
