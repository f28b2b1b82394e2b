"""``build-engine``'s options for TensorRT, what its builder had to say, and what only the device can prove."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sji_edge.cli.render.common import console, settings_or_usage_error
from sji_edge.core.errors import UsageError
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.bundle.bundle import Bundle
from sji_edge.runtime.tensorrt.compatibility import NONE
from sji_edge.runtime.tensorrt.options import DEFAULTS, TensorRtOptions

MAX_NAMED = 3
RTX = "tensorrt-rtx"


def batches_of(text: str, max_batch: int) -> tuple[int | None, int]:
    """Read ``--batch OPT,MAX``; without it there is no tuned batch, and ``max_batch`` stands.

    Raises:
        UsageError: not two whole numbers, the first not above the second.
    """
    if not text:
        return None, max_batch
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"--batch is {text!r}; OPT,MAX was wanted, two whole numbers such as 64,128")
    tuned, greatest = map(int, parts)
    if tuned > greatest:
        raise UsageError(
            f"--batch {text}: engines cannot be tuned for {tuned} crops and take at most {greatest}"
        )
    return tuned, greatest


def tensorrt_options(**values: Any) -> TensorRtOptions | None:
    """Return the options, or None where none was given."""
    options = settings_or_usage_error(TensorRtOptions, **values)
    return None if options == DEFAULTS else options


def capabilities(environment: Mapping[str, str]) -> str:
    """Return the compute capabilities that an engine is for, as ``8.6, 8.9, 12.0``."""
    return ", ".join(environment.get("compute_capability", "none").split())


def say_targets(options: TensorRtOptions | None) -> None:
    """Say which cards TensorRT for RTX will build for, before minutes are spent on it; of the card here, nothing.

    Raises:
        EnvironmentMismatchError: the package is not here.
    """
    chosen = options or DEFAULTS
    environment = BACKENDS.get(RTX)(chosen).environment()
    if environment["gpu"] != NONE:
        return
    line = f"builds ahead of time for compute capability {capabilities(environment)}"
    if not chosen.compute_capabilities:
        line += " (RTX 30, 40 and 50), as no GPU is here; --compute-capability names another"
    console().print(line, markup=False)


def say_build(build: Mapping[str, Any]) -> None:
    """Say what a TensorRT build would rather have had: layers off the DLA, Q/DQ left unfused, its own warnings.

    Args:
        build: the manifest's ``build``; of other backends it says nothing of these.
    """
    for line in _remarks(build):
        console().print(f"note: {line}", markup=False)


def _remarks(build: Mapping[str, Any]) -> Iterator[str]:
    fallen = build.get("not_on_dla")
    if fallen:
        count = f"{len(fallen)} of {build.get('network_layers', '?')} layers"
        yield f"{count} cannot run on the DLA and fall back to the GPU: {_some(fallen)}"
    elif fallen is not None:
        yield "every layer runs on the DLA"
    if build.get("unfused"):
        yield str(build["unfused"])
    warnings = build.get("warnings") or []
    if warnings:
        yield f"the builder warned: {_some(warnings, '; ')} (build.log has all it said)"


def _some(names: Sequence[object], joint: str = ", ") -> str:
    more = f"{joint}and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return joint.join(map(str, names[:MAX_NAMED])) + more


def say_pending(bundle: Bundle, pending: str) -> None:
    """Say that a bundle waits for its device, and how it is released there."""
    console().print(f"not released yet: {bundle.folder}", markup=False)
    console().print(f"  {pending}", markup=False)
    console().print(f"  its graph decides as PyTorch does on this CPU ({bundle.parity.joints} joints)")
    console().print(f"next, on a card of compute capability {capabilities(bundle.manifest.environment)}:")
    console().print(f"  sji-edge engine release {bundle.folder}", markup=False)
