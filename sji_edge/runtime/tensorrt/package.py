"""The two TensorRT packages, and how their versions differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sji_edge.core.errors import EnvironmentMismatchError, UsageError
from sji_edge.core.extras import load
from sji_edge.core.registry import nearest
from sji_edge.core.text import one_line
from sji_edge.runtime.cuda.driver import CudaDriver, ask_driver

OLDEST = (8, 6)


@dataclass(frozen=True)
class Package:
    """One kind of TensorRT: the backend's name, its Python module, and whether it builds without a GPU."""

    backend: str
    module: str
    title: str
    ahead_of_time: bool

    def load(self) -> Any:
        """Import the module.

        Raises:
            MissingExtraError: it is not installed.
            EnvironmentMismatchError: its libraries are missing, or it is too old.
        """
        try:
            trt = load(self.module, self.title)
        except (ImportError, OSError) as error:
            raise EnvironmentMismatchError(
                f"{self.title} is installed, but does not load: {one_line(error)}",
                hint="install its libraries, which are in a separate package; see docs/how-to/tensorrt.md",
            ) from error
        if not self.ahead_of_time and version_of(trt)[:2] < OLDEST:
            raise EnvironmentMismatchError(f"{self.title} must be 8.6 or later (found {trt.__version__})")
        return trt


TENSORRT = Package("tensorrt", "tensorrt", "TensorRT", ahead_of_time=False)
TENSORRT_RTX = Package("tensorrt-rtx", "tensorrt_rtx_bindings", "TensorRT for RTX", ahead_of_time=True)


def version_of(trt: Any) -> tuple[int, ...]:
    """Return the package's version as numbers."""
    return tuple(int(part) for part in str(trt.__version__).split(".") if part.isdigit())


def lean_library(trt: Any) -> str:
    """Return the lean runtime's library, which loads version-compatible plans of its own version.

    That is its path in the ``tensorrt-lean-*-libs`` package if it is installed, else its name for the system's loader.
    """
    name = f"libnvinfer_lean.so.{version_of(trt)[0]}"
    spec = find_spec("tensorrt_lean_libs")
    for folder in [] if spec is None else spec.submodule_search_locations or []:
        if (Path(folder) / name).is_file():
            return str(Path(folder) / name)
    return name


def check_device(package: Package, what: str, driver: CudaDriver | None = None) -> CudaDriver:
    """Return the driver's facts if there is a GPU.

    Raises:
        EnvironmentMismatchError: ``what`` needs a GPU, and there is none.
    """
    driver = driver or ask_driver()
    if driver.missing:
        raise EnvironmentMismatchError(
            f"{package.title} cannot {what} here: {driver.missing}",
            hint="sji-edge doctor shows what this machine has; the backend openvino needs no GPU",
        )
    return driver


def network_flags(trt: Any) -> int:
    """Return the flags for a new network: strongly typed if that exists, else with an explicit batch."""
    kinds = trt.NetworkDefinitionCreationFlag
    flag = getattr(kinds, "STRONGLY_TYPED", None)
    return 1 << int(flag if flag is not None else kinds.EXPLICIT_BATCH)


def precision_flags(trt: Any, precision: str) -> list[Any]:
    """Return the builder flags for a precision; none if networks are strongly typed (from version 10)."""
    if hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
        return []
    names = {"fp32": (), "fp16": ("FP16",), "int8": ("INT8",)}[precision]
    return [getattr(trt.BuilderFlag, name) for name in names]


def capability_values(trt: Any, capabilities: Sequence[str]) -> list[Any]:
    """Turn ``"8.6"`` into the package's own value.

    Raises:
        UsageError: a compute capability that the package has no kernels for.
    """
    known = {
        f"{name[2:-1]}.{name[-1]}": value
        for name, value in trt.ComputeCapability.__members__.items()
        if name.startswith("SM")
    }
    for capability in capabilities:
        if capability not in known:
            raise UsageError(
                f"TensorRT for RTX {trt.__version__} cannot build for compute capability {capability}",
                hint=nearest(capability, known),
            )
    return [known[capability] for capability in capabilities]
