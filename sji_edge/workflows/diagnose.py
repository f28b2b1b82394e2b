"""What ``sji-edge doctor`` looks at. It reads and asks; it changes and installs nothing."""

import importlib.metadata
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from sji_edge.core.errors import SjiError
from sji_edge.core.extras import EXTRA_OF
from sji_edge.core.frozen import FrozenModel
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.cuda.crop_kernel import code_for
from sji_edge.runtime.cuda.driver import ask_driver
from sji_edge.runtime.cuda.gpu_state import driver_release, gpu_states, jetson_facts, run_tool
from sji_edge.runtime.host_cpu import cpu_facts, saturates_int8
from sji_edge.runtime.tensorrt.backend import TensorRtRtxBackend

State = Literal["ok", "note", "missing"]
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
MODEL = Path("/proc/device-tree/model")
LOW_DISK_GB = 5.0
COARSE_CLOCK_NS = 1_000_000
PYCUDA_HINT = "pip install 'sji-edge[cuda]', built against this machine's CUDA; see docs/tensorrt.md"
KERNEL_HINTS = {
    "machine code": "",
    "PTX": "the crop kernel has no machine code for it; the driver translates PTX, which needs branch 580 or later",
    "": "the crop kernel has no code for it: TensorRT engines cannot cut joints there",
}


class Check(FrozenModel):
    """One thing looked at. ``hint`` says what would help, and is empty where all is well."""

    area: str
    name: str
    state: State
    value: str
    hint: str = ""


def examine(folder: Path) -> list[Check]:
    """Look at everything; ``folder`` is where records would be written."""
    areas = (_system, _cpu, _gpu, _backends, _cameras)
    found = [finding for area in areas for finding in area()]
    return [*found, *_disk(folder), *_clock()]


def _system() -> Iterator[Check]:
    model = MODEL.read_text(errors="replace").strip("\0\n ") if MODEL.is_file() else ""
    yield Check(area="system", name="OS", state="ok", value=_os_name() + (f", {model}" if model else ""))
    yield Check(
        area="system", name="Python", state="ok", value=f"{platform.python_version()} ({sys.executable})"
    )
    yield Check(area="system", name="sji-edge", state="ok", value=importlib.metadata.version("sji-edge"))


def _os_name() -> str:
    try:
        release = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        release = ""
    return f"{release or platform.system()}, kernel {platform.release()}, {platform.machine()}"


def _cpu() -> Iterator[Check]:
    facts = cpu_facts()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Check(area="CPU", name="model", state="ok", value=f"{facts['cpu']}, {cores} cores for this process")
    slow = saturates_int8()
    yield Check(
        area="CPU",
        name="instruction sets",
        state="note" if slow else "ok",
        value=facts["isa"],
        hint="no VNNI: INT8 weights are built with 7 bits here" if slow else "",
    )
    if GOVERNOR.is_file():
        governor = GOVERNOR.read_text().strip()
        steady = governor == "performance"
        yield Check(
            area="CPU",
            name="frequency governor",
            state="ok" if steady else "note",
            value=governor,
            hint="" if steady else "latency varies with the clock; cpupower frequency-set -g performance",
        )


def _gpu() -> Iterator[Check]:
    driver = ask_driver()
    if driver.missing:
        yield Check(
            area="GPU",
            name="NVIDIA driver",
            state="missing",
            value=driver.missing,
            hint="CPU engines need none; for TensorRT install the driver of the card's maker",
        )
        return
    yield Check(
        area="GPU",
        name="NVIDIA driver",
        state="ok",
        value=f"{driver_release() or 'in use'}, CUDA {driver.cuda}",
    )
    for device in driver.devices:
        code = code_for(device.compute_capability)
        yield Check(
            area="GPU",
            name=f"GPU {device.index}",
            state={"machine code": "ok", "PTX": "note"}.get(code, "missing"),
            value=f"{device.name}, compute capability {device.compute_capability}, "
            f"{device.memory / (1 << 30):.1f} GiB",
            hint=KERNEL_HINTS[code],
        )
    yield from _clocks_and_power()


def _clocks_and_power() -> Iterator[Check]:
    for index, state in enumerate(gpu_states()):
        idle = state["persistence_mode"] == "Disabled"
        yield Check(
            area="GPU",
            name=f"GPU {index} clocks",
            state="note" if idle else "ok",
            value=f"{state['clocks.sm']} of {state['clocks.max.sm']}, {state['pstate']}, {state['power.draw']} of "
            f"{state['power.limit']}, {state['temperature.gpu']} °C",
            hint="the driver unloads between runs; nvidia-smi -pm 1 keeps it" if idle else "",
        )
    jetson = jetson_facts()
    if jetson:
        fast = jetson["power_mode"].upper().startswith("MAXN")
        yield Check(
            area="GPU",
            name="Jetson",
            state="ok" if fast else "note",
            value=f"{jetson['release']}, power mode {jetson['power_mode']}",
            hint="" if fast else "nvpmodel -m 0 and jetson_clocks give the full clocks",
        )


def _backends() -> Iterator[Check]:
    for name in BACKENDS.names():
        backend = BACKENDS.get(name)()
        try:
            version = dict(backend.environment()).get(name, "")
            reason = backend.incompatibility("fp32", {})
        except SjiError as error:
            yield Check(area="backends", name=name, state="missing", value=error.message, hint=error.hint)
            continue
        yield Check(
            area="backends",
            name=name,
            state="missing" if reason else "ok",
            value=version + (f"; cannot run here: {reason}" if reason else ""),
            hint="it still builds engines ahead of time"
            if reason and name == TensorRtRtxBackend.name
            else "",
        )
    for package, hint in (
        ("pycuda", PYCUDA_HINT),
        ("cuda-bindings", "pip install 'sji-edge[cuda]'; without it there are no CUDA graphs"),
        ("torch", f"pip install 'sji-edge[{EXTRA_OF['torch']}]'; for training and export only"),
        ("onnx", f"pip install 'sji-edge[{EXTRA_OF['onnx']}]'; for build-engine and engine release"),
    ):
        version = _version(package)
        yield Check(
            area="backends",
            name=package,
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
        readable = os.access(device, os.R_OK | os.W_OK)
        name = Path("/sys/class/video4linux") / device.name / "name"
        yield Check(
            area="cameras",
            name=str(device),
            state="ok" if readable else "note",
            value=name.read_text(errors="replace").strip() if name.is_file() else "present",
            hint="" if readable else "no permission; add this user to the group video",
        )
    if not devices:
        yield Check(
            area="cameras",
            name="/dev/video*",
            state="missing",
            value="none",
            hint="plug one in, or name another stream",
        )


def _disk(folder: Path) -> Iterator[Check]:
    usage = shutil.disk_usage(folder)
    free = usage.free / 1e9
    low = free < LOW_DISK_GB
    writable = os.access(folder, os.W_OK)
    yield Check(
        area="disk",
        name=str(folder.resolve()),
        state="note" if low or not writable else "ok",
        value=f"{free:.1f} of {usage.total / 1e9:.1f} GB free" + ("" if writable else ", not writable"),
        hint="records and pictures fill it; make room" if low else "",
    )


def _clock() -> Iterator[Check]:
    now, installed = time.time(), Path(__file__).stat().st_mtime
    behind = now < installed
    yield Check(
        area="clock",
        name="UTC",
        state="note" if behind else "ok",
        value=datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        hint="it is before sji-edge was installed: records would carry a wrong time" if behind else "",
    )
    synchronised = run_tool(["timedatectl", "show", "-p", "NTPSynchronized", "--value"]).strip()
    if synchronised:
        yield Check(
            area="clock",
            name="synchronised",
            state="ok" if synchronised == "yes" else "note",
            value=synchronised,
            hint="" if synchronised == "yes" else "timedatectl set-ntp true, or a time server of the plant",
        )
    info = time.get_clock_info("perf_counter")
    fine = info.monotonic and info.resolution * 1e9 < COARSE_CLOCK_NS
    yield Check(
        area="clock",
        name="for latencies",
        state="ok" if fine else "note",
        value=f"{info.implementation}, {info.resolution * 1e9:.0f} ns"
        + ("" if info.monotonic else ", not monotonic"),
        hint="" if fine else "latencies are measured coarsely on this machine",
    )
