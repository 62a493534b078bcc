//! Compiles every row, structure and constant of ours against NVIDIA's own `cuda.h`, of CUDA 12 and of CUDA 13.
//!
//! The headers come from PyPI (`tests/tools/setup-headers.sh`, run by `make setup`). Without them this fails: a check
//! that skips is a check that nobody notices is gone.
use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::path::PathBuf;
use std::process::Command;

use nvshare_abi::{
    CUlaunchConfig, CUmemAccessDesc, CUmemAllocationProp, CUmemLocation, CUmemPoolProps, CUmemcpyAttributes,
};

type Row = (&'static str, &'static [&'static str]);
macro_rules! rows {
    ($( $sym:ident ( $($arg:ident : $ty:ty),* $(,)? ) => $handler:ident ( $($parg:ident),* ); )*) => {
        &[$((stringify!($sym), &[$(stringify!($ty)),*])),*]
    };
}
const INTERPOSED: &[Row] = nvshare_abi::cuda_table!(rows);
const MORE: &[Row] = nvshare_abi::cuda_not_interposed!(rows);

/// Rows that CUDA 12.9's header does not declare: the calls came with 13.0, and are checked against 13.
const NEWER_THAN_12: &[&str] = &[
    "cuCtxSynchronize_v2",
    "cuMemDiscardAndPrefetchBatchAsync",
    "cuMemDiscardAndPrefetchBatchAsync_ptsz",
    "cuMemDiscardBatchAsync",
    "cuMemDiscardBatchAsync_ptsz",
    "cuMemPrefetchBatchAsync",
    "cuMemPrefetchBatchAsync_ptsz",
    "cuMemcpy3DBatchAsync_v2",
    "cuMemcpy3DBatchAsync_v2_ptsz",
    "cuMemcpyBatchAsync_v2",
    "cuMemcpyBatchAsync_v2_ptsz",
    "cuMemSetMemPool",
];

#[test]
fn rows_structures_and_constants_are_those_of_cuda_12() {
    compile("12", NEWER_THAN_12);
}

#[test]
fn rows_structures_and_constants_are_those_of_cuda_13() {
    compile("13", &[]);
}

fn compile(version: &str, absent: &[&str]) {
    let folder = headers().join(version);
    assert!(
        folder.join("cuda.h").is_file(),
        "{} is missing: run `make setup` (it fetches NVIDIA's headers), or set CUDA_HEADERS to a folder with \
         12/cuda.h and 13/cuda.h",
        folder.join("cuda.h").display()
    );
    let mut c = String::from("#define __CUDA_API_VERSION_INTERNAL\n#include <stddef.h>\n#include <cuda.h>\n");
    for (symbol, types) in INTERPOSED.iter().chain(MORE) {
        if absent.contains(symbol) {
            // Should the header declare it after all, this is a conflict, and the list above is out of date.
            writeln!(c, "typedef int {symbol};").unwrap();
            continue;
        }
        let args = types.iter().map(|ty| c_type(ty)).collect::<Vec<_>>().join(", ");
        let args = if args.is_empty() { "void" } else { &args };
        writeln!(c, "CUresult (CUDAAPI *row_{symbol})({args}) = {symbol};").unwrap();
    }
    c += &structures();
    for (name, code) in nvshare_abi::RESULTS {
        writeln!(c, "_Static_assert(CUDA_{name} == {code}, \"CUDA_{name}\");").unwrap();
    }
    for (name, value) in nvshare_abi::CONSTANTS {
        writeln!(c, "_Static_assert({name} == {value}, \"{name}\");").unwrap();
    }
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("table-{version}.c"));
    std::fs::write(&file, c).expect("write the generated C file");
    let cc = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Werror", "-fsyntax-only", "-I"])
        .args([&folder, &file])
        .output()
        .expect("run cc: run `make setup`, which installs a C compiler");
    assert!(cc.status.success(), "against CUDA {version}:\n{}", String::from_utf8_lossy(&cc.stderr));
}

fn headers() -> PathBuf {
    std::env::var_os("CUDA_HEADERS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/cuda-headers"),
        PathBuf::from,
    )
}

/// The C spelling of a type that stands in the table.
fn c_type(rust: &str) -> String {
    let rust = rust.trim().replace("* mut ", "*mut ").replace("* const ", "*const ");
    if let Some(inner) = rust.strip_prefix("*mut ") {
        return format!("{} *", c_type(inner));
    }
    if let Some(inner) = rust.strip_prefix("*const ") {
        return format!("const {} *", c_type(inner));
    }
    match rust.as_str() {
        "c_int" => "int",
        "c_uint" => "unsigned int",
        "c_ushort" => "unsigned short",
        "c_uchar" => "unsigned char",
        "c_ulonglong" => "unsigned long long",
        "c_float" => "float",
        "c_char" => "char",
        "c_void" => "void",
        "usize" => "size_t",
        same => same,
    }
    .into()
}

macro_rules! layout {
    ($c:ident, $($struct:ident { $($field:ident as $name:literal),* $(,)? })*) => {$(
        let name = stringify!($struct);
        let size = size_of::<$struct>();
        writeln!($c, "_Static_assert(sizeof({name}) == {size}, \"size of {name}\");").unwrap();
        $(
            let offset = offset_of!($struct, $field);
            let field = $name;
            writeln!($c, "_Static_assert(offsetof({name}, {field}) == {offset}, \"{name}.{field}\");").unwrap();
        )*
    )*};
}

/// Size and offsets of the structures that we wrote ourselves.
fn structures() -> String {
    let mut c = String::new();
    layout! { c,
        CUmemLocation { r#type as "type", id as "id" }
        CUmemAllocationProp {
            r#type as "type", requestedHandleTypes as "requestedHandleTypes", location as "location",
            win32HandleMetaData as "win32HandleMetaData", allocFlags as "allocFlags",
        }
        CUmemAccessDesc { location as "location", flags as "flags" }
        CUmemPoolProps {
            allocType as "allocType", handleTypes as "handleTypes", location as "location",
            win32SecurityAttributes as "win32SecurityAttributes", maxSize as "maxSize", reserved as "reserved",
        }
        CUlaunchConfig {
            gridDimX as "gridDimX", gridDimY as "gridDimY", gridDimZ as "gridDimZ", blockDimX as "blockDimX",
            blockDimY as "blockDimY", blockDimZ as "blockDimZ", sharedMemBytes as "sharedMemBytes",
            hStream as "hStream", attrs as "attrs", numAttrs as "numAttrs",
        }
        CUmemcpyAttributes {
            srcAccessOrder as "srcAccessOrder", srcLocHint as "srcLocHint", dstLocHint as "dstLocHint",
            flags as "flags",
        }
    }
    c
}
