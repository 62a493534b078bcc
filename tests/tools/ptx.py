"""Makes a PTX text of a CUDA source by NVIDIA's run-time compiler, for the oldest drivers and devices that nvshare knows.

usage: ptx.py libnvrtc.so SOURCE.cu >TEXT.ptx
"""

import ctypes
import re
import sys
import zlib

# What the text needs: `bar.red` of sm_20 and no newer directive. Drivers since 384 take this version.
VERSION = "6.0"
ARCHITECTURE = b"--gpu-architecture=compute_50"


def compile_source(library: str, source: bytes) -> str:
    nvrtc = ctypes.CDLL(library)
    program = ctypes.c_void_p()

    def check(code: int) -> None:
        if code:
            raise SystemExit(f"NVRTC: error {code}\n{text('ProgramLog')}")

    def text(what: str) -> str:
        size = ctypes.c_size_t()
        getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        getattr(nvrtc, f"nvrtcGet{what}")(program, buffer)
        return buffer.value.decode()

    check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, b"kernel.cu", 0, None, None))
    check(nvrtc.nvrtcCompileProgram(program, 1, (ctypes.c_char_p * 1)(ARCHITECTURE)))
    return text("PTX")


def main() -> None:
    library, path = sys.argv[1:]
    with open(path, "rb") as file:
        source = file.read()
    text = re.sub(r"\.version \S+", f".version {VERSION}", compile_source(library, source))
    lines = [line.strip() for line in text.splitlines()]
    print(f"// Made of {path.rsplit('/', 1)[-1]} (CRC-32 {zlib.crc32(source):08x}) by `make ptx`.")
    print("\n".join(line for line in lines if line and not line.startswith("//")))


main()
