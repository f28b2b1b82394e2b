"""Reads clocks and power of an NVIDIA GPU from its driver's tools, and on a Jetson from nvpmodel."""

import csv
import io
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

FIELDS = (
    "name",
    "driver_version",
    "pstate",
    "clocks.sm",
    "clocks.max.sm",
    "power.draw",
    "power.limit",
    "persistence_mode",
    "temperature.gpu",
    "clocks_throttle_reasons.active",
)
TIMEOUT_S = 10
TEGRA = Path("/etc/nv_tegra_release")
BOARD_MODEL = Path("/proc/device-tree/model")
MODULE_VERSION = Path("/proc/driver/nvidia/version")

Run = Callable[[Sequence[str]], str]


def run_tool(command: Sequence[str]) -> str:
    """Run a tool and return its output; empty if it is missing or failed."""
    program = shutil.which(command[0])
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, *command[1:]], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def gpu_states(run: Run = run_tool) -> list[dict[str, str]]:
    """Return the ``FIELDS`` of each GPU from nvidia-smi; nothing without it."""
    text = run(["nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader"])
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if row]
    return [dict(zip(FIELDS, row, strict=True)) for row in rows if len(row) == len(FIELDS)]


def jetson_facts(run: Run = run_tool, release: Path = TEGRA) -> dict[str, str]:
    """Return a Jetson's ``release`` (L4T) and ``power_mode``; empty elsewhere."""
    if not release.is_file():
        return {}
    found = re.search(r"R(\d+).*REVISION:\s*([\d.]+)", release.read_text(errors="replace"))
    mode = re.search(r"NV Power Mode:\s*(\S+)", run(["nvpmodel", "-q"]))
    return {
        "release": f"L4T {found[1]}.{found[2]}" if found else "L4T",
        "power_mode": mode[1] if mode else "unknown: nvpmodel -q printed none",
    }


def board_model(path: Path = BOARD_MODEL) -> str:
    """Return the name of an ARM board, such as a Jetson with its module; empty elsewhere."""
    try:
        return path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return ""


def driver_release(path: Path = MODULE_VERSION) -> str:
    """Return the kernel module's version (``580.65.06``); empty if there is none."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return ""
    found = re.search(r"\b(\d{3}\.\d+(?:\.\d+)?)\b", text)
    return found[1] if found else ""
