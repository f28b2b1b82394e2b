"""How a TensorRT engine is built: plain options, and what each kind of TensorRT makes of them."""

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from sji_edge.core.errors import UsageError
from sji_edge.core.frozen import FrozenModel

CAPABILITY = re.compile(r"[0-9]{1,2}\.[0-9]")


def _capability(text: str) -> str:
    if not CAPABILITY.fullmatch(text):
        raise ValueError(f"{text!r} is no compute capability such as 8.6")
    return text


Capability = Annotated[str, AfterValidator(_capability)]
AHEAD_OF_TIME = ("8.6", "8.9", "12.0")
"""What an engine is built for where no GPU and no ``--compute-capability`` says: RTX 30, 40 and 50."""

DEFAULT_OPT_BATCH = 64


class TensorRtOptions(FrozenModel):
    """Options of ``build-engine`` that only TensorRT has.

    ``opt_batch`` is the batch that kernels are tuned for; None: 64, or the greatest batch where that is
    less. ``workspace_mb`` None leaves all of the device's memory. ``dla`` is the core to use on a Jetson.
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
            raise ValueError("a compute capability stands twice")
        return self

    def batches(self, max_batch: int) -> tuple[int, int, int]:
        """Return the least, the tuned and the greatest batch of the optimisation profile.

        DLA takes one batch size only: there all three are the greatest, and smaller batches are filled up.

        Raises:
            UsageError: the tuned batch is above the greatest.
        """
        if self.dla is not None:
            return max_batch, max_batch, max_batch
        tuned = self.opt_batch or min(DEFAULT_OPT_BATCH, max_batch)
        if tuned > max_batch:
            raise UsageError(f"engines cannot be tuned for {tuned} crops and take at most {max_batch}")
        return 1, tuned, max_batch


DEFAULTS = TensorRtOptions()


def check_options(options: TensorRtOptions, *, rtx: bool) -> None:
    """Refuse what a kind of TensorRT cannot do.

    Args:
        options: as asked for.
        rtx: TensorRT for RTX, not TensorRT.

    Raises:
        UsageError: says which option, and what serves instead.
    """
    if options.compute_capabilities and not rtx:
        raise UsageError(
            "TensorRT builds for the GPU of this machine only; no compute capability can be named",
            hint="--backend tensorrt-rtx builds for RTX cards that are not here",
        )
    if rtx and options.hardware_compatible:
        raise UsageError(
            "TensorRT for RTX has no hardware-compatible engines",
            hint="name every card's --compute-capability",
        )
    if rtx and options.version_compatible:
        raise UsageError(
            "TensorRT for RTX has no version-compatible engines",
            hint="engine release --rebuild makes the engine anew from its graph",
        )
    if rtx and options.dla is not None:
        raise UsageError("TensorRT for RTX has no DLA", hint="use --backend tensorrt on a Jetson")
