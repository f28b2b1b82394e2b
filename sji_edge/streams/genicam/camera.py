"""What all GenICam cameras share, whichever library reads them: options, features, counting lost frames."""

from collections.abc import Callable
from typing import Literal, Protocol

from pydantic import Field

from sji_edge.core.clock import Clock
from sji_edge.core.errors import SourceError
from sji_edge.core.options import Options
from sji_edge.core.protocols import FrameSource
from sji_edge.streams.cameras.live import Grabber, LiveSource
from sji_edge.streams.cameras.reconnect import RECONNECT_S, reconnecting

POLL_S = 0.25
"""The longest single wait for a device, so that a close is noticed."""
BUFFERS = 8
GRACE_S = 1.0
SHORT_COUNTER = 0xFFFF


class VisionOptions(Options):
    """Settings of a machine-vision camera; what is not given keeps the camera's own value.

    ``trigger``: ``off`` runs freely, ``software`` takes a frame whenever the loop requests one, ``hardware`` on a
    signal of ``line``. ``exposure`` is in µs; ``format`` is a value of ``PixelFormat``. A camera that gives no frame
    for ``timeout`` seconds is lost, unless it waits for a hardware trigger.
    """

    serial: str = ""
    trigger: Literal["off", "software", "hardware"] = "off"
    line: str = ""
    exposure: float | None = Field(default=None, gt=0)
    fps: float | None = Field(default=None, gt=0)
    format: str = ""
    timeout: float = Field(default=5.0, gt=0, le=600)
    reconnect: float = Field(default=RECONNECT_S, ge=0, le=86_400)


Value = str | float | bool
TOLERANCE = 0.05
"""Cameras round exposure and rate to their own steps; a larger difference means that the value was refused."""


class Features(Protocol):
    """A camera's features by name. A refused value raises ``ValueError`` with the reason."""

    def has(self, name: str) -> bool:
        """Tell whether the camera has this feature now."""

    def set(self, name: str, value: Value) -> None:
        """Set a feature."""

    def get_float(self, name: str) -> float:
        """Read a feature that is a number."""


def apply_options(features: Features, options: VisionOptions, label: str) -> None:
    """Set the options that were given, and read numbers back.

    Raises:
        SourceError: the camera has no such feature, refused the value, or took another one.
    """
    for names, value in _asked(features, options):
        name = next((name for name in names if features.has(name)), "")
        if not name:
            raise SourceError(f"{label} has no feature {names[0]}", hint="leave the option out")
        try:
            features.set(name, value)
            has = features.get_float(name) if type(value) is float else value
        except ValueError as error:
            raise SourceError(
                f"{label} refused {name} {value}: {error}", hint="choose a value that the camera offers"
            ) from None
        if type(value) is float and abs(float(has) - value) > TOLERANCE * value:
            raise SourceError(
                f"{label} refused {name} {value:g} (it uses {has:g})",
                hint="choose a value that the camera offers",
            )


def _asked(features: Features, options: VisionOptions) -> list[tuple[tuple[str, ...], Value]]:
    """List feature names, the newer one first, with values; the trigger comes last, since it may lock the others."""
    asked: list[tuple[tuple[str, ...], Value]] = []
    if options.format:
        asked.append((("PixelFormat",), options.format))
    if options.exposure is not None:
        asked += [((name,), "Off") for name in ("ExposureAuto",) if features.has(name)]
        asked.append((("ExposureTime", "ExposureTimeAbs"), options.exposure))
    if options.fps is not None:
        asked += [((name,), True) for name in ("AcquisitionFrameRateEnable",) if features.has(name)]
        asked.append((("AcquisitionFrameRate", "AcquisitionFrameRateAbs"), options.fps))
    if options.trigger == "off":
        return asked + [((name,), "Off") for name in ("TriggerMode",) if features.has(name)]
    asked += [(("TriggerSelector",), "FrameStart"), (("TriggerMode",), "On")]
    source = "Software" if options.trigger == "software" else options.line
    return [*asked, (("TriggerSource",), source)] if source else asked


def missed_between(last: int | None, now: int | None) -> int:
    """Count the frames that are missing between two successive frame ids.

    A 16-bit GigE Vision counter wraps from 65535 to 1; any other restart of the counter counts none.
    """
    if last is None or now is None:
        return 0
    if now > last:
        return now - last - 1
    if now < last <= SHORT_COUNTER and last - now > SHORT_COUNTER // 2:
        return SHORT_COUNTER - last + now - 1
    return 0


def vision_source(
    open_device: Callable[[], Grabber], label: str, options: VisionOptions, clock: Clock, colour: bool
) -> FrameSource:
    """Return the source of the camera that ``open_device`` opens; it reconnects after a loss."""
    timeout_s = None if options.trigger == "hardware" else options.timeout + GRACE_S

    def reopen() -> FrameSource:
        return LiveSource(
            open_device(), label, clock, colour, timeout_s=timeout_s, free_running=options.trigger == "off"
        )

    return reconnecting(reopen, label, options.reconnect, clock)
