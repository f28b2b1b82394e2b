"""Compiles the crop kernel into the fatbin that the wheel ships: ``python -m sji_edge.runtime.cuda.build``.

Only needed after changing the kernel. NVIDIA's runtime compiler (NVRTC) is fetched with pip, in two versions: what CUDA
13 compiles is refused by drivers before branch 580, and only CUDA 12.8 and later know compute capability 12.0. Machine
code of CUDA 12.6 has ELF ABI 7, which every driver for CUDA 12 and 13 loads. The edge loads the fatbin in this folder.
"""

import argparse
import ctypes
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SOURCES = ("crop_pixel.h", "crop_kernel.cu")
FATBIN = HERE / "crop_kernel.fatbin"
RECORD = HERE / "crop_kernel.json"
LINKER = "nvidia-nvfatbin-cu12==12.8.90"


@dataclass(frozen=True)
class Compiler:
    """One version of NVRTC and what it compiles; the values are the oldest CUDA whose drivers load the result.

    A driver translates PTX for its architecture and later ones, if it is at least as new as the compiler. PTX for 12.0
    does not run on 10.0 (B200) or 11.0 (Jetson Thor), and PTX for 9.0 does.
    """

    package: str
    machine_code: dict[str, str]
    ptx: dict[str, str]


COMPILERS = (
    Compiler(
        "nvidia-cuda-nvrtc-cu12==12.6.85",
        {f"sm_{code}": "12.0" for code in (75, 80, 86, 87, 89, 90)},
        {"compute_90": "12.6"},
    ),
    Compiler("nvidia-cuda-nvrtc-cu12==12.8.93", {"sm_120": "12.8"}, {"compute_120": "12.8"}),
)


def source_sha256() -> str:
    """Return the hash of the kernel's sources, in order."""
    return hashlib.sha256(b"".join((HERE / name).read_bytes() for name in SOURCES)).hexdigest()


def fetch(folder: Path) -> None:
    """Install the compilers and the linker into ``folder``, each into its own; those that are there are kept."""
    for package in (*(compiler.package for compiler in COMPILERS), LINKER):
        if not (folder / package).is_dir():
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
            subprocess.run([*pip, str(folder / package), package], check=True)


def compiled(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each architecture and its machine code or PTX, by the compilers in ``folder``."""
    for compiler in COMPILERS:
        [path] = (folder / compiler.package).glob("nvidia/cuda_nvrtc/lib/libnvrtc.so.*")
        for architecture in (*compiler.machine_code, *compiler.ptx):
            yield architecture, _compile(ctypes.CDLL(str(path)), architecture)


def link(folder: Path, codes: list[tuple[str, bytes]]) -> bytes:
    """Put machine code and PTX into one fatbin, uncompressed: older drivers do not know every compression."""
    [path] = (folder / LINKER).glob("nvidia/nvfatbin/lib/libnvfatbin.so.*")
    library, handle = ctypes.CDLL(str(path)), ctypes.c_void_p()
    options = (ctypes.c_char_p * 1)(b"-compress-mode=none")
    _check("nvFatbinCreate", library.nvFatbinCreate(ctypes.byref(handle), options, ctypes.c_size_t(1)))
    for architecture, code in codes:
        kind, _, number = architecture.partition("_")
        size, name = ctypes.c_size_t(len(code)), SOURCES[1].encode()
        if kind == "sm":
            result = library.nvFatbinAddCubin(handle, code, size, number.encode(), name)
        else:
            result = library.nvFatbinAddPTX(handle, code, size, number.encode(), name, None)
        _check(f"nvFatbinAdd of {architecture}", result)
    size = ctypes.c_size_t()
    _check("nvFatbinSize", library.nvFatbinSize(handle, ctypes.byref(size)))
    fatbin = ctypes.create_string_buffer(size.value)
    _check("nvFatbinGet", library.nvFatbinGet(handle, fatbin))
    library.nvFatbinDestroy(ctypes.byref(handle))
    return fatbin.raw


def _compile(nvrtc: Any, architecture: str) -> bytes:
    header, source = ((HERE / name).read_bytes() for name in SOURCES)
    program = ctypes.c_void_p()
    texts, names = (ctypes.c_char_p * 1)(header), (ctypes.c_char_p * 1)(SOURCES[0].encode())
    _check(
        "nvrtcCreateProgram",
        nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, SOURCES[1].encode(), 1, texts, names),
    )
    words = (f"--gpu-architecture={architecture}".encode(), b"--std=c++17")
    if nvrtc.nvrtcCompileProgram(program, len(words), (ctypes.c_char_p * len(words))(*words)):
        sys.exit(_result(nvrtc, program, "ProgramLog").decode())
    return _result(nvrtc, program, "CUBIN" if architecture.startswith("sm_") else "PTX")


def _result(nvrtc: Any, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _check(what, getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(what, getattr(nvrtc, f"nvrtcGet{what}")(program, buffer))
    return buffer.raw


def _check(call: str, result: int) -> None:
    if result:
        sys.exit(f"{call} failed with result {result}")


def main() -> None:
    """Compile, and record the sources and the compilers."""
    parser = argparse.ArgumentParser(description="compile the crop kernel")
    parser.add_argument("--compilers", type=Path, help="folder for the compilers; kept for the next time")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sji-edge-kernel-") as temporary:
        folder = given.compilers or Path(temporary)
        fetch(folder)
        FATBIN.write_bytes(link(folder, list(compiled(folder))))
    record = {
        "source_sha256": source_sha256(),
        "fatbin_sha256": hashlib.sha256(FATBIN.read_bytes()).hexdigest(),
        "compilers": [compiler.package for compiler in COMPILERS],
        "machine_code": {name: cuda for each in COMPILERS for name, cuda in each.machine_code.items()},
        "ptx": {name: cuda for each in COMPILERS for name, cuda in each.ptx.items()},
    }
    RECORD.write_text(json.dumps(record, indent=2) + "\n")
    sys.stdout.write(f"{FATBIN}: {FATBIN.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
