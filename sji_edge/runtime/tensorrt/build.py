"""Builds a TensorRT plan from an ONNX graph: parses, configures, builds."""

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sji_edge.core.errors import BundleError, EnvironmentMismatchError, OutputError, UsageError
from sji_edge.core.files import write_atomic
from sji_edge.core.text import one_line
from sji_edge.runtime.onnx_graph import GUARD_NAMES, INPUT_NAME, OUTPUT_NAME, check_names, spec_of
from sji_edge.runtime.tensorrt.calls import interruptible, monitor_of, undisturbed
from sji_edge.runtime.tensorrt.log import BuildLog, logger_of, parser_error
from sji_edge.runtime.tensorrt.options import TensorRtOptions
from sji_edge.runtime.tensorrt.package import capability_values, network_flags, precision_flags
from sji_edge.runtime.tensorrt.rewrite import without_gemm

NUMPY_NAMES = {"UINT8": "uint8", "FLOAT": "float32", "HALF": "float16", "INT8": "int8", "INT32": "int32"}
TURING = "7.5"
MAX_LISTED = 8


@dataclass(frozen=True)
class Job:
    """One build.

    ``targets`` are compute capabilities; empty for the GPU of this machine. ``timing_cache`` is a file to read and
    update, or None.
    """

    graph: Path
    precision: str
    max_batch: int
    options: TensorRtOptions
    targets: tuple[str, ...]
    timing_cache: Path | None
    step: Callable[[str], None]


@dataclass(frozen=True)
class Built:
    """A plan, its log, and facts for the manifest."""

    plan: bytes
    log: BuildLog
    facts: dict[str, Any]


def build_plan(trt: Any, job: Job, backend: str) -> Built:
    """Build a plan.

    Args:
        trt: the package.
        job: what to build.
        backend: its name, for the engine's spec.

    Raises:
        BundleError: not one of our graphs, an operator that TensorRT does not have, or the build failed.
        UsageError: an impossible compute capability or batch size.
        EnvironmentMismatchError: no builder or no DLA core on this machine.
        KeyboardInterrupt: Ctrl-C ended the build.
    """
    if not job.graph.is_file():
        raise BundleError(f"there is no graph {job.graph}")
    with interruptible() as stop, undisturbed():
        return _build(trt, job, backend, stop)


def _build(trt: Any, job: Job, backend: str, stop: Callable[[], bool]) -> Built:
    start_ns = time.perf_counter_ns()
    log = BuildLog()
    logger = logger_of(trt, log)
    builder = _builder(trt, logger, log)
    network = builder.create_network(network_flags(trt))
    _parse(trt, job, network, logger)
    batches = job.options.batches(job.max_batch)
    _check_network(job, network, backend)
    config, fallen = _config(trt, builder, network, job, log, batches)
    monitor = monitor_of(trt, job.step, stop)
    if monitor is not None:
        config.progress_monitor = monitor
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BundleError(
            f"TensorRT cannot build {job.graph}: {log.reason()}", hint="run the command again with --debug"
        )
    if job.timing_cache is not None:
        _keep_timings(config, job.timing_cache)
    facts = {
        "batches": list(batches),
        "network_layers": network.num_layers,
        "plan_bytes": plan.nbytes,
        "build_s": round((time.perf_counter_ns() - start_ns) / 1e9, 3),
        "warnings": log.warnings[:MAX_LISTED],
        **({"not_on_dla": fallen} if job.options.dla is not None else {}),
        **({"compute_capabilities": list(job.targets)} if job.targets else {}),
    }
    return Built(bytes(plan), log, facts)


def _builder(trt: Any, logger: Any, log: BuildLog) -> Any:
    try:
        return trt.Builder(logger)
    except TypeError as error:  # its factory returned a null pointer: no usable device
        raise EnvironmentMismatchError(f"TensorRT has no builder here: {log.reason()}") from error


def _parse(trt: Any, job: Job, network: Any, logger: Any) -> None:
    parser = trt.OnnxParser(network, logger)
    job.step("parsing")
    with tempfile.TemporaryDirectory(prefix="sji-edge-parse-") as folder:
        # Parsed in its own folder, where a graph that keeps weights in other files does not find them.
        copied = Path(folder) / "graph.onnx"
        if TURING in job.targets:
            without_gemm(job.graph, copied)
        else:
            shutil.copyfile(job.graph, copied)
        try:
            understood = parser.parse_from_file(str(copied))
        except RuntimeError as error:
            raise BundleError(f"TensorRT cannot parse {job.graph}: {one_line(error)}") from error
    if not understood:
        raise parser_error(parser, job.graph)


def _check_network(job: Job, network: Any, backend: str) -> None:
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    outputs = [network.get_output(index) for index in range(network.num_outputs)]
    check_names(job.graph, _ports(inputs), _ports(outputs))
    shapes = {port.name: dimensions(port.shape) for port in (*inputs, *outputs)}
    spec_of(
        job.graph,
        shapes[INPUT_NAME],
        shapes[OUTPUT_NAME],
        *(shapes.get(name) for name in GUARD_NAMES),
        max_batch=job.max_batch,
        backend=backend,
        precision=job.precision,
    )


def dimensions(shape: Any) -> list[int | None]:
    """Return a TensorRT shape with None where it is dynamic."""
    return [None if size < 0 else int(size) for size in shape]


def type_name(dtype: Any) -> str:
    """Return NumPy's name of a TensorRT type."""
    return NUMPY_NAMES.get(dtype.name, str(dtype.name))


def _ports(tensors: list[Any]) -> list[tuple[str, str]]:
    return [(tensor.name, type_name(tensor.dtype)) for tensor in tensors]


def _config(
    trt: Any, builder: Any, network: Any, job: Job, log: BuildLog, batches: tuple[int, int, int]
) -> tuple[Any, list[str]]:
    options = job.options
    config = builder.create_builder_config()
    for flag in precision_flags(trt, job.precision):
        config.set_flag(flag)
    if job.precision == "fp32":
        # On by default from Ampere on: products of 10-bit mantissas, which are not what the gate is told.
        config.clear_flag(trt.BuilderFlag.TF32)
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    if options.workspace_mb is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mb << 20)
    # The inspector's table of layers needs this; it costs nothing at run time.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
        # A bundle holds no code: the lean runtime stays out of the plan.
        config.set_flag(trt.BuilderFlag.EXCLUDE_LEAN_RUNTIME)
    user_allocation = getattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION", None)
    if user_allocation is not None:
        # TensorRT for RTX: without this an engine may allocate while it runs, and then no CUDA graph can be recorded.
        config.set_flag(user_allocation)
    if options.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if job.targets:
        values = capability_values(trt, job.targets)
        config.num_compute_capabilities = len(values)
        for index, value in enumerate(values):
            config.set_compute_capability(value, index)
    _add_profile(builder, network, config, batches)
    if job.timing_cache is not None:
        _take_timings(config, job.timing_cache, log)
    fallen = [] if options.dla is None else _use_dla(trt, builder, network, config, options.dla)
    return config, fallen


def _add_profile(builder: Any, network: Any, config: Any, batches: tuple[int, int, int]) -> None:
    crop = tuple(network.get_input(0).shape)[1:]
    profile = builder.create_optimization_profile()
    profile.set_shape(INPUT_NAME, *((batch, *crop) for batch in batches))
    if config.add_optimization_profile(profile) < 0:
        raise UsageError(f"TensorRT refuses a profile of {batches} crops of {crop}")


def _use_dla(trt: Any, builder: Any, network: Any, config: Any, core: int) -> list[str]:
    """Assign layers to a DLA core where possible; returns the layers that fall back to the GPU."""
    if core >= builder.num_DLA_cores:
        raise EnvironmentMismatchError(
            f"there is no DLA core {core}: this device has {builder.num_DLA_cores} of them",
            hint="build without a DLA core; only Jetson AGX Orin, Orin NX and Xavier have them",
        )
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    return [layer.name for layer in layers if not config.can_run_on_DLA(layer)]


def _take_timings(config: Any, path: Path, log: BuildLog) -> None:
    try:
        data = path.read_bytes() if path.is_file() else b""
    except OSError as error:
        log.add("WARNING", f"timing cache {path.name} cannot be read: {error.strerror}")
        data = b""
    cache = config.create_timing_cache(data)
    if cache is None or not config.set_timing_cache(cache, False):
        log.add("WARNING", f"timing cache {path.name} is for another device or version; a new one is made")
        config.set_timing_cache(config.create_timing_cache(b""), False)


def _keep_timings(config: Any, path: Path) -> None:
    cache = config.get_timing_cache()
    if cache is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, bytes(cache.serialize()))
    except OSError as error:
        raise OutputError(f"cannot write the timing cache {path}: {error.strerror}") from error
