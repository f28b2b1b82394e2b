"""What a plan depends on, and why a plan from another machine cannot run here."""

from collections.abc import Mapping

from sji_edge.runtime.cuda.driver import CudaDriver
from sji_edge.runtime.cuda.gpu_state import driver_release
from sji_edge.runtime.tensorrt.options import TensorRtOptions

NONE = "none"
COMPATIBLE = "compatible"
MULTIPROCESSORS = "multiprocessors"
BOARD = "board"
AMPERE = (8, 0)


def environment_of(
    backend: str,
    version: str,
    driver: CudaDriver,
    options: TensorRtOptions,
    targets: tuple[str, ...],
    board: str = "",
) -> dict[str, str]:
    """Return what a plan depends on: the package's version, CUDA, driver, GPU and compute capability.

    All modules of the Jetson Orin family call their GPU ``Orin``, so its multiprocessors and the board are kept, too.

    Args:
        backend: key of the version.
        version: the package's version.
        driver: this machine's driver.
        options: options that widen where the plan may run.
        targets: compute capabilities that the plan is built for; empty: this machine's GPU.
        board: name of the board that the GPU is part of; empty for a card.
    """
    device = driver.devices[0] if driver.devices and not targets else None
    wider = [name for name in ("version", "hardware") if getattr(options, f"{name}_compatible")]
    return {
        backend: version,
        "cuda": driver.cuda or NONE,
        "driver": driver_release() or NONE,
        "gpu": device.name if device else NONE,
        "compute_capability": device.compute_capability if device else " ".join(targets) or NONE,
        **({MULTIPROCESSORS: str(device.multiprocessors)} if device and device.multiprocessors else {}),
        **({BOARD: board} if device and board else {}),
        **({COMPATIBLE: " ".join(wider)} if wider else {}),
    }


def plan_incompatibility(
    backend: str, title: str, version: str, driver: CudaDriver, recorded: Mapping[str, str], board: str = ""
) -> str:
    """Say why a plan cannot run here, or return an empty string.

    Args:
        backend: key of the version in ``recorded``.
        title: the package's name, for the text.
        version: version of the package on this machine.
        driver: this machine's driver.
        recorded: ``environment_of`` of the machine that built the plan; empty for a plan yet to be built.
        board: name of the board that this machine's GPU is part of; empty for a card.
    """
    if driver.missing:
        return driver.missing
    if backend not in recorded:
        return ""
    compatible = recorded.get(COMPATIBLE, "").split()
    device = driver.devices[0]
    if reason := _version_reason(title, version, recorded[backend], "version" in compatible):
        return reason
    if reason := _cuda_reason(driver.cuda, recorded.get("cuda", NONE)):
        return reason
    built_for = recorded.get("compute_capability", NONE)
    here = device.compute_capability
    if "hardware" in compatible:
        older = _numbers(here) < AMPERE
        return f"it needs compute capability 8.0 or later, but {device.name} has {here}" if older else ""
    if here not in built_for.split():
        return f"it was built for compute capability {built_for}, but {device.name} has {here}"
    built_on = recorded.get("gpu", NONE)
    if built_on not in (NONE, device.name):
        return f"it was built on {built_on}, and this is {device.name}"
    if recorded.get(BOARD, board) != board:
        return f"it was built on {recorded[BOARD]}, and this is {board or device.name}"
    here, there = str(device.multiprocessors), recorded.get(MULTIPROCESSORS, "")
    if there not in ("", here):
        return f"it was built on {device.name} with {there} multiprocessors, and this one has {here}"
    return ""


def _version_reason(title: str, here: str, there: str, compatible: bool) -> str:
    if here == there:
        return ""
    if compatible and _numbers(here)[:1] == _numbers(there)[:1] and _numbers(here) > _numbers(there):
        return ""
    return f"it was built by {title} {there}, and {here} is installed"


def _cuda_reason(here: str, there: str) -> str:
    """A newer driver runs plans from a machine with an older one; the reverse is not guaranteed."""
    if NONE in (here or NONE, there) or _numbers(here) >= _numbers(there):
        return ""
    return f"it was built with a driver for CUDA {there}, and the driver here supports CUDA {here}"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
