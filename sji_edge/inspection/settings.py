"""The settings of a run, validated once."""

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from sji_edge.core.frozen import FrozenModel
from sji_edge.inspection.judging.frame_job import Deadlines
from sji_edge.inspection.loop import LoopSettings

Policy = Literal["every", "latest"]
DEFAULT_QUEUE = {"every": 4, "latest": 1}
"""Under ``latest`` only the newest frame is queued: an older one would just be judged later."""
TAKTS, MIN_ENGINE_S, MAX_ENGINE_S = 20, 2.0, 60.0
"""An engine call may take this number of takts, but at least and at most these seconds."""


def _share(value: object) -> object:
    """Parse ``1/500`` or ``0.002``; leave everything else for pydantic to refuse."""
    if not isinstance(value, str):
        return value
    try:
        return Fraction(value)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{value[:40]!r} is not a share; write it like 1/500 or 0.002") from error


Share = Annotated[Fraction, BeforeValidator(_share), Field(gt=0, le=1)]


class RunSettings(FrozenModel):
    """How a run treats its frames.

    Attributes:
        policy: ``every`` judges each frame and makes the source wait; ``latest`` drops queued frames when a newer one
            arrives. None takes ``latest`` for a free-running source and ``every`` for all others.
        queue: maximum number of queued frames; None takes the policy's default.
        max_age_ms: maximum age of a frame when work on it begins; None for any age.
        takt_ms: maximum time from the capture to the verdict; None for no limit. See ``deadlines``.
        engine_timeout_s: maximum duration of an engine call. A longer one ends the run, with its boards as ERROR. None
            takes 20 takts, but 2 to 60 seconds; 60 seconds without a takt and for each call of the warm-up.
        stop_on: stop when a joint fails on this number of boards in a row; 0 for never.
        low_latency: process one frame at a time in a single thread.
        max_frames: stop after this number of frames; None for no limit.
        shadow: share of the crops that the reference graph judges too; None for none.
        strict: refuse a source that leaves something out, such as files of other formats.
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
    strict: bool = False

    def loop(self, runs_free: bool) -> LoopSettings:
        """Return the loop's settings for a source that is free-running, or that waits for each request."""
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
            stored: the source reads stored frames ahead of the engine. Then only the work counts, because the loop
                itself causes the waits. Under ``latest`` a folder plays a camera, and waits count.
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
