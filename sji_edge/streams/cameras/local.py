"""A camera of the operating system, selected by its index."""

import sys
from pathlib import Path
from typing import Annotated

import cv2
from pydantic import Field, StringConstraints

from sji_edge.core.clock import Clock
from sji_edge.core.errors import DataError, SourceError
from sji_edge.core.images.read import decode_image
from sji_edge.core.options import Options, SizePx, read_options
from sji_edge.core.protocols import FrameSource
from sji_edge.core.text import amount
from sji_edge.streams.cameras.capture import MOTION_JPEG, open_capture, read_capture
from sji_edge.streams.cameras.live import Grabbed, LiveSource
from sji_edge.streams.cameras.reconnect import RECONNECT_S, reconnecting
from sji_edge.streams.ffmpeg_log import DAMAGED, Trust

V4L2_MANUAL, V4L2_AUTO = 1.0, 3.0
"""Values of the driver's auto exposure control."""
FPS_TOLERANCE = 0.05


class CameraOptions(Options):
    """``exposure`` is in the driver's unit (V4L2: 100 µs), or ``auto``; ``format`` is a FourCC such as MJPG.

    A camera that gives no frame for ``timeout`` seconds is lost; it may stay away for ``reconnect`` seconds.
    """

    size: SizePx | None = None
    fps: float | None = Field(default=None, gt=0, le=10_000)
    exposure: Annotated[str, StringConstraints(pattern=r"^(auto|-?[0-9]+(\.[0-9]+)?)$")] | None = None
    format: Annotated[str, StringConstraints(min_length=4, max_length=4, pattern=r"^[ -~]*$")] | None = None
    timeout: float = Field(default=5.0, gt=0, le=600)
    reconnect: float = Field(default=RECONNECT_S, ge=0, le=86_400)


class CameraSource:
    """Opens cameras."""

    @staticmethod
    def open(
        target: str, options: dict[str, str], *, clock: Clock, colour: bool, skip: frozenset[Path]
    ) -> FrameSource:
        """Open the camera with index ``target``; ``skip`` means nothing here.

        Raises:
            SourceError: no such camera, it is busy, or it refused an option.
        """
        del skip
        settings = read_options(CameraOptions, options, "a camera source")
        if not target.isdecimal():
            raise SourceError(
                f"no camera {target!r}: a camera is selected by its number", hint="for example camera://0"
            )
        label = f"camera{int(target)}"

        def reopen() -> FrameSource:
            capture = _open(int(target))
            refused = apply_options(capture, settings)
            if refused:
                capture.release()
                raise SourceError(
                    f"{label} refused {'; '.join(refused)}",
                    hint="leave the option out, or choose a value that `v4l2-ctl --list-formats-ext` lists",
                )
            if int(capture.get(cv2.CAP_PROP_FOURCC)) in MOTION_JPEG:
                # Takes the images as they came over the cable: OpenCV would repair damaged ones.
                capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
            return LiveSource(
                CaptureGrabber(capture, label), label, clock, colour, timeout_s=settings.timeout
            )

        return reconnecting(reopen, label, settings.reconnect, clock)


class CaptureGrabber:
    """Reads an OpenCV capture.

    Args:
        capture: the open capture; released with this object.
        label: names the source in errors.
        trust: tells which frames FFmpeg complained about; None where FFmpeg does not decode.
    """

    def __init__(self, capture: cv2.VideoCapture, label: str, trust: Trust | None = None) -> None:
        self._capture = capture
        self._label = label
        self._trust = trust
        self._frames = 0

    def grab(self) -> Grabbed:
        """Wait for the next image; raises ``SourceError`` when there is none."""
        image = read_capture(self._capture)
        if image is None:
            raise SourceError(
                f"{self._label} was lost after {amount(self._frames, 'frame')}", hint="check its cable"
            )
        self._frames += 1
        if self._trust is not None and not self._trust.in_next_frame(self._capture):
            return Grabbed(None, DAMAGED)
        if image.ndim == 2 and image.shape[0] == 1:
            return self._from_jpeg(image.tobytes())
        return Grabbed(image)

    def _from_jpeg(self, data: bytes) -> Grabbed:
        try:
            return Grabbed(decode_image(data, f"image {self._frames} of {self._label}"))
        except DataError as error:
            return Grabbed(None, error.message)

    def release(self) -> None:
        """Close the capture."""
        self._capture.release()


def _open(index: int) -> cv2.VideoCapture:
    linux = sys.platform.startswith("linux")
    device = Path(f"/dev/video{index}")
    if linux and not device.exists():
        raise SourceError(
            f"no camera {index}: {device} does not exist", hint="plug it in, or name another one (camera1)"
        )
    capture = open_capture(index, cv2.CAP_V4L2 if linux else cv2.CAP_ANY)
    if capture is None:
        raise SourceError(
            f"camera {index} cannot be opened",
            hint="check that no other program uses it, and that you have permission to read it",
        )
    # Drivers that support it then never deliver a frame older than one frame.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


def apply_options(capture: cv2.VideoCapture, options: CameraOptions) -> list[str]:
    """Set a camera's options, and read back what it applied.

    The pixel format comes first and the rate last: a driver offers sizes per format, and rates per size.

    Returns:
        one text per option that the device refused, with the value it uses instead.
    """
    refused = []
    if options.format is not None:
        wanted = cv2.VideoWriter.fourcc(*options.format)
        capture.set(cv2.CAP_PROP_FOURCC, wanted)
        has = int(capture.get(cv2.CAP_PROP_FOURCC))
        if has != wanted:
            refused.append(f"format {options.format} (it uses {_fourcc(has)})")
    if options.size is not None:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, options.size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, options.size[1])
        size = tuple(int(capture.get(at)) for at in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if size != options.size:
            refused.append(f"size {options.size[0]}x{options.size[1]} (it uses {size[0]}x{size[1]})")
    if options.fps is not None:
        capture.set(cv2.CAP_PROP_FPS, options.fps)
        rate = capture.get(cv2.CAP_PROP_FPS)
        if abs(rate - options.fps) > FPS_TOLERANCE * options.fps:
            refused.append(f"{options.fps:g} fps (it uses {rate:g})")
    if options.exposure is not None:
        refused += _expose(capture, options.exposure)
    return refused


def _expose(capture: cv2.VideoCapture, exposure: str) -> list[str]:
    mode = V4L2_AUTO if exposure == "auto" else V4L2_MANUAL
    if not capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, mode):
        return [f"exposure {exposure} (it has no such control)"]
    if exposure == "auto":
        return []
    taken = capture.set(cv2.CAP_PROP_EXPOSURE, float(exposure))
    has = capture.get(cv2.CAP_PROP_EXPOSURE)
    if taken and abs(has - float(exposure)) <= max(1.0, 0.05 * abs(float(exposure))):
        return []
    return [f"exposure {exposure} (it uses {has:g})"]


def _fourcc(code: int) -> str:
    text = "".join(chr((code >> shift) & 0xFF) for shift in (0, 8, 16, 24))
    return text if text.isprintable() and text.strip() else str(code)
