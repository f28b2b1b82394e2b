"""What a user may set of a run, checked once."""

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from sji_edge.core.frozen import FrozenModel
from sji_edge.inspection.judging.frame_job import Deadlines
from sji_edge.inspection.loop import LoopSettings

Policy = Literal["every", "latest"]
DEFAULT_QUEUE = {"every": 4, "latest": 1}
"""A camera's newest frame waits alone: an older one would only be judged later."""
TAKTS, MIN_ENGINE_S, MAX_ENGINE_S = 20, 2.0, 60.0
"""An engine call that takes this many takts, within these seconds, is given up."""


def _share(value: object) -> object:
    """Read ``1/500`` or ``0.002``; anything else is left for pydantic to refuse."""
    if not isinstance(value, str):
        return value
    try:
        return Fraction(value)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{value[:40]!r} is no share such as 1/500") from error


Share = Annotated[Fraction, BeforeValidator(_share), Field(gt=0, le=1)]


class RunSettings(FrozenModel):
    """How a run treats its frames.

    Attributes:
        policy: ``every`` judges each frame and lets the source wait, ``latest`` gives up waiting frames for a
            newer one; None takes ``latest`` for a source that runs freely, else ``every``.
        queue: frames that may wait; None takes the policy's own.
        max_age_ms: how old a frame may be when work on it begins; None for any age.
        engine_timeout_s: how long one engine call may take before the run ends with its boards as ERROR; None takes 20
            takts, but 2 to 60 seconds, and 60 seconds without a takt. Warm-up has 60 seconds a call.
        takt_ms: how long after its capture a verdict is still good; None for ever. See ``deadlines``.
        stop_on: end the run when one joint fails on so many boards in a row; 0 never.
        low_latency: one frame at a time in one thread.
        max_frames: end after so many.
        shadow: share of the crops that the reference graph judges too; None for none.
    """

    policy: Policy | None = None
    queue: int | None = Field(default=None, ge=1, le=10_000)
    max_age_ms: float | None = Field(default=None, gt=0)
    takt_ms: float | None = Field(default=None, gt=0)
    engine_timeout_s: float | None = Field(default=None, gt=0)
    stop_on: int = Field(default=0, ge=0)
    low_latency: bool = False
    max_frames: int | None = Field(default=None, ge=1)
    shadow: Share | None = None

    def loop(self, runs_free: bool) -> LoopSettings:
        """Return the loop's settings for a source that runs freely, or waits to be asked."""
        policy = self.policy or ("latest" if runs_free else "every")
        return LoopSettings(
            policy=policy,
            queue=self.queue or DEFAULT_QUEUE[policy],
            low_latency=self.low_latency,
            max_frames=self.max_frames,
            stop_on=self.stop_on,
        )

    def deadlines(self, stored: bool) -> Deadlines:
        """Return the limits in nanoseconds.

        Args:
            stored: the source's frames lie ready, and are read ahead of the engine. Then only the work counts:
                the waits are of the loop's own making. With ``latest`` a folder plays a camera, and they count.
        """
        waits = not stored or self.policy == "latest"
        return Deadlines(
            max_age_ns=_ns(self.max_age_ms),
            takt_ns=_ns(self.takt_ms),
            waits=waits,
            engine_ns=round(self._engine_limit_s() * 1e9),
            warm_up_ns=round((self.engine_timeout_s or MAX_ENGINE_S) * 1e9),
        )

    def _engine_limit_s(self) -> float:
        if self.engine_timeout_s is not None:
            return self.engine_timeout_s
        if self.takt_ms is None:
            return MAX_ENGINE_S
        return min(MAX_ENGINE_S, max(MIN_ENGINE_S, TAKTS * self.takt_ms / 1e3))


def _ns(milliseconds: float | None) -> int | None:
    return None if milliseconds is None else round(milliseconds * 1e6)
