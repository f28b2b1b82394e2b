"""Queries the NVIDIA driver through ctypes, before any NVIDIA library is loaded.

TensorRT does not report a missing driver: its builder raises a ``TypeError``, and the runtime of version 8.6 ends the
process. pycuda's import fails. So the driver is queried first.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LIBRARY = "libcuda.so.1"
SUCCESS = 0
MULTIPROCESSORS = 16
COMPUTE_CAPABILITY_MAJOR = 75
COMPUTE_CAPABILITY_MINOR = 76
NAME_BYTES = 256
RESULTS = {
    100: "no NVIDIA GPU was found",
    34: "the driver is a stub library",
    803: "the driver and its kernel module differ in version; restart the machine",
    804: "the driver is older than this CUDA, and its forward compatibility does not cover this GPU",
    999: "the driver reported an unknown error; see dmesg",
}
"""Meaning of ``cuInit``'s results (CUDA driver API, ``CUresult``)."""


@dataclass(frozen=True)
class CudaDevice:
    """One GPU. ``compute_capability`` as ``"8.6"``; ``memory`` in bytes; 0 ``multiprocessors`` are unknown."""

    index: int
    name: str
    compute_capability: str
    memory: int
    multiprocessors: int = 0


@dataclass(frozen=True)
class CudaDriver:
    """Facts from the driver. ``cuda`` is the newest CUDA version that it supports (``"13.0"``); empty without a driver.

    ``missing`` says why no GPU can be used; empty if one can.
    """

    cuda: str
    devices: tuple[CudaDevice, ...]
    missing: str


def ask_driver(load: Callable[[str], Any] = ctypes.CDLL) -> CudaDriver:
    """Query the driver for its version and its devices; never raises.

    Args:
        load: opens the driver's library by name.
    """
    try:
        library = load(LIBRARY)
    except OSError:
        return CudaDriver("", (), f"no NVIDIA driver is installed ({LIBRARY} is missing)")
    result = library.cuInit(0)
    cuda = _version(library)
    if result != SUCCESS:
        return CudaDriver(cuda, (), RESULTS.get(result, f"cuInit failed with CUDA error {result}"))
    count = ctypes.c_int()
    result = library.cuDeviceGetCount(ctypes.byref(count))
    if result != SUCCESS or count.value == 0:
        return CudaDriver(cuda, (), RESULTS.get(result, RESULTS[100]))
    devices = tuple(_device(library, index) for index in range(count.value))
    return CudaDriver(cuda, devices, "")


def pop_context(load: Callable[[str], Any] = ctypes.CDLL) -> None:
    """Pop the top context off this thread's stack, if there is one."""
    load(LIBRARY).cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))


def _version(library: Any) -> str:
    number = ctypes.c_int()
    if library.cuDriverGetVersion(ctypes.byref(number)) != SUCCESS:
        return ""
    return f"{number.value // 1000}.{number.value % 1000 // 10}"


def _device(library: Any, index: int) -> CudaDevice:
    handle = ctypes.c_int()
    library.cuDeviceGet(ctypes.byref(handle), index)
    name = ctypes.create_string_buffer(NAME_BYTES)
    library.cuDeviceGetName(name, NAME_BYTES, handle)
    memory = ctypes.c_size_t()
    library.cuDeviceTotalMem_v2(ctypes.byref(memory), handle)
    capability = ".".join(
        str(_attribute(library, which, handle))
        for which in (COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR)
    )
    return CudaDevice(
        index,
        name.value.decode(errors="replace"),
        capability,
        memory.value,
        _attribute(library, MULTIPROCESSORS, handle),
    )


def _attribute(library: Any, which: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    library.cuDeviceGetAttribute(ctypes.byref(value), which, device)
    return value.value
