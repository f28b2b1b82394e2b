"""Options for building a TensorRT engine, and which kind of TensorRT supports them."""

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from sji_edge.core.errors import UsageError
from sji_edge.core.frozen import FrozenModel

CAPABILITY = re.compile(r"[0-9]{1,2}\.[0-9]")


def _capability(text: str) -> str:
    if not CAPABILITY.fullmatch(text):
        raise ValueError(f"a compute capability must look like 8.6 (got {text!r})")
    return text


Capability = Annotated[str, AfterValidator(_capability)]
AHEAD_OF_TIME = ("8.6", "8.9", "12.0")
"""Default targets on a machine without a GPU: RTX 30, 40 and 50."""

DEFAULT_OPT_BATCH = 64


class TensorRtOptions(FrozenModel):
    """Options that only TensorRT has.

    ``opt_batch`` is the batch size that kernels are tuned for; None: 64, or the largest batch size if that is smaller.
    ``workspace_mb`` None allows all of the device's memory. ``dla`` is the DLA core to use on a Jetson.
    """

    compute_capabilities: tuple[Capability, ...] = ()
    opt_batch: int | None = Field(default=None, ge=1)
    optimization_level: int | None = Field(default=None, ge=0, le=5)
    workspace_mb: int | None = Field(default=None, ge=1)
    version_compatible: bool = False
    hardware_compatible: bool = False
    dla: int | None = Field(default=None, ge=0)
    timing_caches: Path | None = None

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.compute_capabilities)) != len(self.compute_capabilities):
            raise ValueError("duplicate compute capability")
        return self

    def batches(self, max_batch: int) -> tuple[int, int, int]:
        """Return the minimum, the tuned and the maximum batch size of the optimization profile.

        DLA takes one batch size only: all three are the maximum there, and smaller batches are filled up.

        Raises:
            UsageError: the tuned batch size is above the maximum.
        """
        if self.dla is not None:
            return max_batch, max_batch, max_batch
        tuned = self.opt_batch or min(DEFAULT_OPT_BATCH, max_batch)
        if tuned > max_batch:
            raise UsageError(
                f"the batch size to tune for must be at most max batch, {max_batch} (got {tuned})"
            )
        return 1, tuned, max_batch


DEFAULTS = TensorRtOptions()


def check_options(options: TensorRtOptions, *, rtx: bool) -> None:
    """Refuse options that a kind of TensorRT does not support.

    Args:
        options: the options.
        rtx: True for TensorRT for RTX, False for TensorRT.

    Raises:
        UsageError: names the option and the alternative.
    """
    if options.compute_capabilities and not rtx:
        raise UsageError(
            "TensorRT builds for the GPU of this machine only, so a compute capability cannot be chosen",
            hint="the backend tensorrt-rtx builds for RTX cards that are not in this machine",
        )
    if rtx and options.hardware_compatible:
        raise UsageError(
            "TensorRT for RTX cannot build hardware-compatible engines",
            hint="name the compute capability of every card",
        )
    if rtx and options.version_compatible:
        raise UsageError(
            "TensorRT for RTX cannot build version-compatible engines",
            hint="sji-edge engine release --rebuild rebuilds an engine from its graph",
        )
    if rtx and options.dla is not None:
        raise UsageError("TensorRT for RTX has no DLA", hint="use the backend tensorrt on a Jetson")
