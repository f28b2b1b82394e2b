"""Loads a plan and reads its input, output and optimization profile."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sji_edge.core.errors import BundleError
from sji_edge.core.files import read_bounded
from sji_edge.core.protocols import EngineSpec
from sji_edge.runtime.onnx_graph import (
    GUARD_NAMES,
    INPUT_NAME,
    MAX_ENGINE_BYTES,
    OUTPUT_NAME,
    check_names,
    spec_of,
)
from sji_edge.runtime.tensorrt.build import dimensions, type_name
from sji_edge.runtime.tensorrt.device_buffers import Profile
from sji_edge.runtime.tensorrt.log import BuildLog, runtime_of
from sji_edge.runtime.tensorrt.package import lean_library
from sji_edge.runtime.tensorrt.runtime_cache import RuntimeCache, cache_file


@dataclass
class LoadedPlan:
    """A loaded plan, the runtimes that must outlive it, each longer than the next, and TensorRT's log from now on.

    ``kernels`` are those that TensorRT for RTX compiles for it; None for TensorRT, whose plans hold them.
    """

    trt: Any
    runtimes: tuple[Any, ...]
    plan: Any
    spec: EngineSpec
    profile: Profile
    log: BuildLog = field(default_factory=BuildLog)
    kernels: RuntimeCache | None = None

    def free(self) -> None:
        """Drop the plan, then the runtimes, the parent of a lean one last; it cannot be used afterwards."""
        if self.kernels is not None:
            self.kernels.free()
        self.plan = None
        while self.runtimes:
            self.runtimes = self.runtimes[:-1]

    def __del__(self) -> None:
        self.free()


def load_plan(
    trt: Any, engine_file: Path, max_batch: int, backend: str, precision: str, content: bytes | None = None
) -> LoadedPlan:
    """Load a plan in the current CUDA context.

    Args:
        trt: the TensorRT package.
        engine_file: the plan.
        max_batch: largest batch that the engine will be given.
        backend: the backend's name.
        precision: the plan's precision.
        content: the file's bytes, if the caller has read them already.

    Raises:
        BundleError: not readable, not a plan of this package's version, or one with another input.
        EnvironmentMismatchError: TensorRT has no runtime on this machine.
    """
    data = read_bounded(engine_file, MAX_ENGINE_BYTES, error=BundleError) if content is None else content
    log = BuildLog()
    runtimes: tuple[Any, ...] = (runtime_of(trt, log),)
    plan = runtimes[0].deserialize_cuda_engine(data)
    if plan is None:
        # Perhaps a version-compatible plan of another version: its lean runtime must be installed, not in the bundle.
        lean = runtimes[0].load_runtime(lean_library(trt))
        if lean is not None:
            runtimes, plan = (*runtimes, lean), lean.deserialize_cuda_engine(data)
    if plan is None:
        raise BundleError(f"TensorRT cannot load {engine_file}: {log.reason()}")
    spec, profile = described(plan, engine_file, max_batch, backend, precision)
    kernels = RuntimeCache(cache_file(data, backend)) if hasattr(trt, "IRuntimeCache") else None
    return LoadedPlan(trt, runtimes, plan, spec, profile, log, kernels)


def described(
    plan: Any, source: Path, max_batch: int, backend: str, precision: str
) -> tuple[EngineSpec, Profile]:
    """Return a plan's spec and profile; its names and types must be those of our graphs."""
    names = [plan.get_tensor_name(index) for index in range(plan.num_io_tensors)]
    ports = [(name, type_name(plan.get_tensor_dtype(name))) for name in names]
    inputs = [port for port in ports if plan.get_tensor_mode(port[0]).name == "INPUT"]
    outputs = [port for port in ports if plan.get_tensor_mode(port[0]).name == "OUTPUT"]
    check_names(source, inputs, outputs)
    profile = Profile.of(
        [tuple(shape) for shape in plan.get_tensor_profile_shape(INPUT_NAME, 0)], str(source)
    )
    if max_batch > profile.greatest:
        raise BundleError(
            f"{source} takes at most {profile.greatest} crops, but its manifest says {max_batch}",
            hint="build it again with sji-edge build-engine",
        )
    # A plan for one batch size (DLA) has no dynamic dimension; the host fills smaller batches up.
    shapes = {name: [None, *dimensions(plan.get_tensor_shape(name))[1:]] for name in names}
    spec = spec_of(
        source,
        shapes[INPUT_NAME],
        shapes[OUTPUT_NAME],
        *(shapes.get(name) for name in GUARD_NAMES),
        max_batch=max_batch,
        backend=backend,
        precision=precision,
    )
    return spec, profile
