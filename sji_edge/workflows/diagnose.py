"""Examines this machine for ``doctor``: CPU, GPU, backends, cameras, disk and clock. Changes nothing, never fails."""

import importlib.metadata
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

from sji_edge.core.errors import SjiError
from sji_edge.core.extras import EXTRA_OF
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.text import one_line
from sji_edge.runtime import BACKENDS

State = Literal["ok", "note", "missing"]
Probe = tuple[str, str, Callable[[], Iterable["Check"]]]
"""An area, what is examined, and the function that does it."""

PACKAGE = "sji-edge"
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
LOW_DISK_GB = 5.0
COARSE_CLOCK_NS = 1_000_000
BUILDS_ANYWHERE = "tensorrt-rtx"
KERNEL_HINTS = {
    "machine code": "",
    "PTX": "the crop kernel has no machine code for this GPU; the driver translates its PTX when an engine is opened",
    "newer driver": "the crop kernel for this GPU needs a newer driver; until then TensorRT engines let the host cut",
    "": "the crop kernel has no code for this GPU; TensorRT engines let the host cut the joints, which is slower",
}
PACKAGE_HINTS = {
    "pycuda": "pip install 'sji-edge[cuda]'; it is built against the CUDA of this machine",
    "cuda-bindings": "pip install 'sji-edge[cuda]'; without it there are no CUDA graphs",
    "torch": f"pip install 'sji-edge[{EXTRA_OF['torch']}]'; needed for training and export only",
    "cryptography": f"pip install 'sji-edge[{EXTRA_OF['cryptography']}]'; needed for signatures of engines",
    "zstandard": f"pip install 'sji-edge[{EXTRA_OF['zstandard']}]'; needed for .tar.zst archives, not for .zip",
    "onnx": f"pip install 'sji-edge[{EXTRA_OF['onnx']}]'; needed for build-engine and engine release",
}


class Check(FrozenModel):
    """One thing that was examined.

    Attributes:
        area: system, CPU, GPU, backends, cameras, disk or clock.
        name: what was examined.
        state: ``ok``; ``note`` where something deserves attention; ``missing`` where it is absent or unusable.
        value: what was found.
        hint: the next step; empty if nothing is wrong.
    """

    area: str
    name: str
    state: State
    value: str
    hint: str = ""


def examine(folder: Path = Path()) -> tuple[Check, ...]:
    """Examine the machine.

    Never raises: a probe that fails gives a line that says so, and the others go on.

    Args:
        folder: folder planned for records; its disk is examined.
    """
    return tuple(check for probe in _probes(folder) for check in _examined(*probe))


def _probes(folder: Path) -> Iterator[Probe]:
    yield "system", "OS", _os
    yield "system", "Python", _python
    yield "system", PACKAGE, _own_version
    yield "CPU", "model", _cpu_model
    yield "CPU", "instruction sets", _cpu_features
    yield "CPU", "frequency governor", _governor
    yield "GPU", "NVIDIA driver", _gpu
    yield "GPU", "clocks", _gpu_clocks
    yield "GPU", "Jetson", _jetson
    yield "backends", "list of backends", _backends
    for package, hint in PACKAGE_HINTS.items():
        yield "backends", package, partial(_package, package, hint)
    yield "cameras", "/dev/video*", _cameras
    yield "disk", str(folder), partial(_disk, folder)
    yield "clock", "UTC", _utc
    yield "clock", "synchronized", _synchronized
    yield "clock", "for latencies", _latency_clock


def _examined(area: str, name: str, probe: Callable[[], Iterable[Check]]) -> list[Check]:
    """Run a probe; its results before a failure are kept."""
    found: list[Check] = []
    try:
        found.extend(probe())
    except SjiError as error:
        found.append(Check(area=area, name=name, state="missing", value=error.message, hint=error.hint))
    # Anything may fail on a machine that needs diagnosis.
    except Exception as error:  # noqa: BLE001
        kind, text = type(error).__name__, one_line(error)
        value = f"cannot be examined: {kind}" + (f": {text}" if text != kind else "")
        found.append(Check(area=area, name=name, state="missing", value=value))
    return found


def _os() -> Iterator[Check]:
    from sji_edge.runtime.cuda.gpu_state import board_model

    try:
        release = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        release = ""
    system = f"{release or platform.system()}, kernel {platform.release()}, {platform.machine()}"
    model = board_model()
    yield Check(area="system", name="OS", state="ok", value=system + (f", {model}" if model else ""))


def _python() -> Iterator[Check]:
    value = f"{platform.python_version()} ({sys.executable})"
    yield Check(area="system", name="Python", state="ok", value=value)


def _own_version() -> Iterator[Check]:
    version = _version(PACKAGE)
    yield Check(
        area="system",
        name=PACKAGE,
        state="ok" if version else "note",
        value=version or "runs from source without being installed: no version is known",
        hint="" if version else "pip install the package, so that records name its version",
    )


def _cpu_model() -> Iterator[Check]:
    from sji_edge.runtime.host_cpu import cpu_facts

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    value = f"{cpu_facts()['cpu']}, {cores} cores for this process"
    yield Check(area="CPU", name="model", state="ok", value=value)


def _cpu_features() -> Iterator[Check]:
    from sji_edge.runtime.host_cpu import cpu_facts, saturates_int8

    saturates = saturates_int8()
    yield Check(
        area="CPU",
        name="instruction sets",
        state="note" if saturates else "ok",
        value=cpu_facts()["isa"] or "none known",
        hint="no VNNI: INT8 engines built here use 7-bit weights" if saturates else "",
    )


def _governor() -> Iterator[Check]:
    if not GOVERNOR.is_file():
        return
    governor = GOVERNOR.read_text().strip()
    steady = governor == "performance"
    yield Check(
        area="CPU",
        name="frequency governor",
        state="ok" if steady else "note",
        value=governor,
        hint=""
        if steady
        else "latency varies with the clock frequency: cpupower frequency-set -g performance",
    )


def _gpu() -> Iterator[Check]:
    from sji_edge.runtime.cuda.crop_kernel import code_for
    from sji_edge.runtime.cuda.driver import ask_driver
    from sji_edge.runtime.cuda.gpu_state import driver_release

    driver = ask_driver()
    if driver.missing:
        yield Check(
            area="GPU",
            name="NVIDIA driver",
            state="missing",
            value=driver.missing,
            hint="CPU engines need none; TensorRT engines need NVIDIA's driver",
        )
        return
    value = f"{driver_release() or 'in use'}, CUDA {driver.cuda}"
    yield Check(area="GPU", name="NVIDIA driver", state="ok", value=value)
    for device in driver.devices:
        code = code_for(device.compute_capability, driver.cuda)
        yield Check(
            area="GPU",
            name=f"GPU {device.index}",
            state="ok" if code == "machine code" else "note",
            value=f"{device.name}, compute capability {device.compute_capability}, "
            f"{device.memory / (1 << 30):.1f} GiB",
            hint=KERNEL_HINTS[code],
        )


def _gpu_clocks() -> Iterator[Check]:
    from sji_edge.runtime.cuda.gpu_state import gpu_states

    for index, state in enumerate(gpu_states()):
        unloads = state["persistence_mode"] == "Disabled"
        yield Check(
            area="GPU",
            name=f"GPU {index} clocks",
            state="note" if unloads else "ok",
            value=f"{state['clocks.sm']} of {state['clocks.max.sm']}, {state['pstate']}, {state['power.draw']} of "
            f"{state['power.limit']}, {state['temperature.gpu']} °C",
            hint="the driver unloads between runs; nvidia-smi -pm 1 keeps it loaded" if unloads else "",
        )


def _jetson() -> Iterator[Check]:
    from sji_edge.runtime.cuda.gpu_state import jetson_facts

    jetson = jetson_facts()
    if not jetson:
        return
    fast = jetson["power_mode"].upper().startswith("MAXN")
    yield Check(
        area="GPU",
        name="Jetson",
        state="ok" if fast else "note",
        value=f"{jetson['release']}, power mode {jetson['power_mode']}",
        hint="" if fast else "nvpmodel -m 0 and jetson_clocks set the highest clocks",
    )


def _backends() -> Iterator[Check]:
    for name in BACKENDS.names():
        yield from _examined("backends", name, partial(_backend, name))


def _backend(name: str) -> Iterator[Check]:
    backend = BACKENDS.get(name)()
    version = dict(backend.environment()).get(name, "")
    reason = backend.incompatibility("fp32", {})
    yield Check(
        area="backends",
        name=name,
        state="missing" if reason else "ok",
        value=f"{version}; cannot run here: {reason}" if reason else version or "ready",
        hint="it can still build engines ahead of time" if reason and name == BUILDS_ANYWHERE else "",
    )


def _package(name: str, hint: str) -> Iterator[Check]:
    version = _version(name)
    yield Check(
        area="backends",
        name=name,
        state="ok" if version else "missing",
        value=version or "not installed",
        hint="" if version else hint,
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _cameras() -> Iterator[Check]:
    devices = sorted(Path("/dev").glob("video*"))
    for device in devices:
        usable = os.access(device, os.R_OK | os.W_OK)
        name = Path("/sys/class/video4linux") / device.name / "name"
        yield Check(
            area="cameras",
            name=str(device),
            state="ok" if usable else "note",
            value=name.read_text(errors="replace").strip() if name.is_file() else "present",
            hint="" if usable else "no permission; add this user to the group video",
        )
    if not devices:
        yield Check(
            area="cameras",
            name="/dev/video*",
            state="missing",
            value="none",
            hint="connect a camera, or use another stream",
        )


def _disk(folder: Path) -> Iterator[Check]:
    if not folder.is_dir():
        value = "is a file, not a folder" if folder.exists() else "no such folder"
        yield Check(
            area="disk", name=str(folder), state="missing", value=value, hint="name the folder for records"
        )
        return
    usage = shutil.disk_usage(folder)
    free = usage.free / 1e9
    low, writable = free < LOW_DISK_GB, os.access(folder, os.W_OK)
    hints = ["records and pictures fill the disk; free some space"] * low
    hints += ["give this user permission to write, or name another folder"] * (not writable)
    yield Check(
        area="disk",
        name=str(folder.resolve()),
        state="note" if hints else "ok",
        value=f"{free:.1f} of {usage.total / 1e9:.1f} GB free" + ("" if writable else ", not writable"),
        hint="; ".join(hints),
    )


def _utc() -> Iterator[Check]:
    now, installed = time.time(), Path(__file__).stat().st_mtime
    behind = now < installed
    yield Check(
        area="clock",
        name="UTC",
        state="note" if behind else "ok",
        value=datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        hint="earlier than the installation of sji-edge: records would carry a wrong time" if behind else "",
    )


def _synchronized() -> Iterator[Check]:
    from sji_edge.runtime.cuda.gpu_state import run_tool

    answer = run_tool(["timedatectl", "show", "-p", "NTPSynchronized", "--value"]).strip()
    if answer:
        yield Check(
            area="clock",
            name="synchronized",
            state="ok" if answer == "yes" else "note",
            value=answer,
            hint="" if answer == "yes" else "timedatectl set-ntp true, or use the plant's time server",
        )


def _latency_clock() -> Iterator[Check]:
    info = time.get_clock_info("perf_counter")
    fine = info.monotonic and info.resolution * 1e9 < COARSE_CLOCK_NS
    yield Check(
        area="clock",
        name="for latencies",
        state="ok" if fine else "note",
        value=f"{info.implementation}, {info.resolution * 1e9:.0f} ns"
        + ("" if info.monotonic else ", not monotonic"),
        hint="" if fine else "latencies measured on this machine are coarse",
    )
