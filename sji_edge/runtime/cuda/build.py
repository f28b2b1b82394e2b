"""Compiles the crop kernel into the fatbin that the wheel ships: ``python -m sji_edge.runtime.cuda.build``.

Only needed after changing the kernel; needs nvcc 13. The edge loads the fatbin in this folder.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = ("crop_pixel.h", "crop_kernel.cu")
FATBIN = HERE / "crop_kernel.fatbin"
RECORD = HERE / "crop_kernel.json"
MACHINE_CODE = ("75", "80", "86", "87", "89", "90", "120")
VIRTUAL = ("90", "120")
"""PTX for cards without their own machine code. The driver translates PTX for its architecture and later ones, so
PTX for 12.0 does not run on 10.0 (B200) or 11.0 (Jetson Thor), and PTX for 9.0 does. The driver must know this nvcc's
PTX."""


def source_sha256() -> str:
    """Return the hash of the kernel's sources, in order."""
    return hashlib.sha256(b"".join((HERE / name).read_bytes() for name in SOURCES)).hexdigest()


def command(nvcc: str, target: Path) -> list[str]:
    """Return the compiler's command line."""
    codes = [("compute_" + code, "sm_" + code) for code in MACHINE_CODE]
    codes += [("compute_" + code, "compute_" + code) for code in VIRTUAL]
    generate = [word for arch, code in codes for word in ("-gencode", f"arch={arch},code={code}")]
    # Uncompressed: older drivers do not know every compression.
    return [
        nvcc,
        "--fatbin",
        "-std=c++17",
        "-O3",
        "--compress-mode=none",
        *generate,
        "-o",
        str(target),
        SOURCES[1],
    ]


def compile_kernel(nvcc: str, target: Path) -> None:
    """Compile the kernel; raises ``CalledProcessError`` with nvcc's text in its ``stderr``."""
    subprocess.run(command(nvcc, target.resolve()), cwd=HERE, check=True, capture_output=True, text=True)


def compiler_version(nvcc: str) -> str:
    """Return nvcc's release line."""
    said = subprocess.run([nvcc, "--version"], check=True, capture_output=True, text=True).stdout
    return next(line.strip() for line in said.splitlines() if "release" in line)


def main() -> None:
    """Compile, and record the sources and the compiler."""
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        sys.exit("nvcc is not on the PATH")
    compile_kernel(nvcc, FATBIN)
    record = {
        "source_sha256": source_sha256(),
        "fatbin_sha256": hashlib.sha256(FATBIN.read_bytes()).hexdigest(),
        "nvcc": compiler_version(nvcc),
        "machine_code": [f"sm_{code}" for code in MACHINE_CODE],
        "ptx": [f"compute_{code}" for code in VIRTUAL],
    }
    RECORD.write_text(json.dumps(record, indent=2) + "\n")
    sys.stdout.write(f"{FATBIN}: {FATBIN.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
