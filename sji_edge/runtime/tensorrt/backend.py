"""The backends TensorRT and TensorRT for RTX; they differ only where the packages do.

The precision is in the graph (Q/DQ for INT8, an FP16 graph for FP16), and networks are strongly typed, so TensorRT
chooses kernels but never precisions. TensorRT for RTX can build ahead of time for cards that are not in this machine;
such an engine cannot run here, and its parity check is waiting for the device.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from sji_edge.core.errors import BundleError, EnvironmentMismatchError, UsageError
from sji_edge.core.files import write_atomic
from sji_edge.core.protocols import Engine
from sji_edge.core.registry import nearest
from sji_edge.core.text import one_line
from sji_edge.runtime.cuda.driver import CudaDriver, ask_driver
from sji_edge.runtime.cuda.gpu_state import board_model
from sji_edge.runtime.onnx_graph import LAYERS_SUFFIX, LOG_SUFFIX
from sji_edge.runtime.tensorrt.build import Built, Job, build_plan
from sji_edge.runtime.tensorrt.calls import undisturbed
from sji_edge.runtime.tensorrt.compatibility import environment_of, plan_incompatibility
from sji_edge.runtime.tensorrt.layers import count_types, layer_table, unfused
from sji_edge.runtime.tensorrt.log import BuildLog, runtime_of
from sji_edge.runtime.tensorrt.options import AHEAD_OF_TIME, DEFAULTS, TensorRtOptions, check_options
from sji_edge.runtime.tensorrt.package import TENSORRT, TENSORRT_RTX, Package, check_device

PRECISIONS = ("fp32", "fp16", "int8")


def _quiet(step: str) -> None:
    del step


@cache
def this_driver() -> CudaDriver:
    """Query the driver once; a GPU does not come or go while a process runs."""
    return ask_driver()


@dataclass(frozen=True)
class TensorRtBackend:
    """Engine files are plans of TensorRT 8.6, 10 or 11.

    Args:
        options: how to build; they have no effect on opening an engine.
        step: receives each step of the builder, in words.
        driver: queries the NVIDIA driver.
    """

    options: TensorRtOptions = DEFAULTS
    step: Callable[[str], None] = field(default=_quiet, compare=False)
    driver: Callable[[], CudaDriver] = field(default=this_driver, compare=False)

    name: ClassVar[str] = "tensorrt"
    suffix: ClassVar[str] = ".plan"
    package: ClassVar[Package] = TENSORRT

    def build(self, graph: Path, engine_file: Path, *, precision: str, max_batch: int) -> Mapping[str, Any]:
        """Build a plan, and beside it ``STEM.log`` and, on a machine with a GPU, ``STEM.layers.json``.

        Raises:
            UsageError: an unknown precision, or an option that this kind of TensorRT does not have.
            MissingExtraError: the package is not installed.
            EnvironmentMismatchError: there is no GPU, and the package cannot build without one.
            BundleError: not a graph of ours, or TensorRT cannot build it.
        """
        check_precision(precision)
        check_options(self.options, rtx=self.package.ahead_of_time)
        if max_batch < 1:
            raise UsageError(f"max batch must be at least 1 (got {max_batch})")
        if not self.package.ahead_of_time:
            check_device(self.package, "build", self.driver())
        trt = self.package.load()
        job = Job(
            graph, precision, max_batch, self.options, self._targets(), self._timing_cache(trt), self.step
        )
        built = build_plan(trt, job, self.name)
        write_atomic(engine_file, built.plan)
        write_atomic(engine_file.with_suffix(LOG_SUFFIX), built.log.text())
        return {**built.facts, **self._inspect(trt, built, engine_file)}

    def open(
        self,
        engine_file: Path,
        *,
        precision: str,
        max_batch: int,
        threads: int,
        content: bytes | None = None,
    ) -> Engine:
        """Load a plan on the first GPU; see ``core.protocols.Backend``. ``threads`` has no effect on a GPU.

        Raises:
            UsageError: an unknown precision, or an impossible batch size or number of threads.
            EnvironmentMismatchError: there is no GPU, or pycuda is not installed.
            BundleError: not a plan of this package's version, or one with another input.
        """
        check_precision(precision)
        if threads < 0:
            raise UsageError(f"threads must be 0 (automatic) or more (got {threads})")
        if max_batch < 1:
            raise UsageError(f"max batch must be at least 1 (got {max_batch})")
        check_device(self.package, f"open {engine_file}", self.driver())
        from sji_edge.runtime.tensorrt.engine import open_plan

        return open_plan(
            self.package.load(),
            engine_file,
            max_batch=max_batch,
            backend=self.name,
            precision=precision,
            content=content,
        )

    def environment(self) -> Mapping[str, str]:
        """Return the package's version, the driver's CUDA, the GPU and its compute capability, or the targets."""
        version = str(self.package.load().__version__)
        return environment_of(self.name, version, self.driver(), self.options, self._ahead(), board_model())

    def incompatibility(self, precision: str, recorded: Mapping[str, str]) -> str:
        """Say why a plan cannot run here (package, version or GPU), or return an empty string."""
        if precision == "bf16":
            return "TensorRT engines are built in fp32, fp16 and int8"
        check_precision(precision)
        try:
            version = str(self.package.load().__version__)
        except EnvironmentMismatchError as error:
            return error.message
        title = self.package.title
        return plan_incompatibility(self.name, title, version, self.driver(), recorded, board_model())

    def _ahead(self) -> tuple[str, ...]:
        """Return the compute capabilities of cards that need not be in this machine; empty for this machine's GPU."""
        if self.options.compute_capabilities or not self.package.ahead_of_time:
            return self.options.compute_capabilities
        return AHEAD_OF_TIME if self.driver().missing else ()

    def _targets(self) -> tuple[str, ...]:
        """Return what the builder is told; TensorRT for RTX takes no card for granted, not even the one it runs on."""
        ahead, devices = self._ahead(), self.driver().devices
        if ahead or not self.package.ahead_of_time or not devices:
            return ahead
        return (devices[0].compute_capability,)

    def _timing_cache(self, trt: Any) -> Path | None:
        """Return the file that keeps kernel timings; None for TensorRT for RTX, which takes none."""
        folder, devices = self.options.timing_caches, self.driver().devices
        if folder is None or self.package.ahead_of_time or not devices:
            return None
        device = devices[0].name.replace(" ", "-").replace("/", "-")
        return folder / f"{self.name}-{trt.__version__}-{device}.cache"

    def _inspect(self, trt: Any, built: Built, engine_file: Path) -> dict[str, Any]:
        # Listing a plan's layers loads it, which needs the GPU that it is for.
        if self.driver().missing or self._ahead():
            return {
                "layer_types": {},
                "layer_table": "not inspected: listing the layers needs the GPU that the engine is for",
            }
        with undisturbed():
            text = _layers_of(trt, built.plan)
        try:
            table = layer_table(text)
        except ValueError as error:
            return {"layer_types": {}, "layer_table": f"not inspected: {one_line(error)}"}
        write_atomic(engine_file.with_suffix(LAYERS_SUFFIX), json.dumps(table, indent=1) + "\n")
        warning = unfused(table)
        return {
            "layer_types": count_types(table),
            "layer_table": f"{len(table)} layers",
            **({"unfused": warning} if warning else {}),
        }


@dataclass(frozen=True)
class TensorRtRtxBackend(TensorRtBackend):
    """Engine files are plans of TensorRT for RTX, for named cards or for the one in this machine."""

    name: ClassVar[str] = "tensorrt-rtx"
    package: ClassVar[Package] = TENSORRT_RTX


def _layers_of(trt: Any, plan: bytes) -> str:
    log = BuildLog()
    runtime = runtime_of(trt, log)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise BundleError(f"the new plan does not load: {log.reason()}")
    text: str = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    return text


def check_precision(precision: str) -> None:
    """Raise ``UsageError`` for an unknown precision, ``EnvironmentMismatchError`` for bf16."""
    if precision == "bf16":
        raise EnvironmentMismatchError("TensorRT engines are built in fp32, fp16 and int8, not in bf16")
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}", hint=nearest(precision, list(PRECISIONS)))
