"""GigE Vision and USB3 Vision cameras through Aravis, which needs no GenTL producer from the manufacturer."""

import ctypes
from pathlib import Path

import numpy as np

from sji_edge.core.clock import Clock
from sji_edge.core.errors import DataError, SourceError
from sji_edge.core.options import read_options
from sji_edge.core.protocols import FrameSource
from sji_edge.core.text import one_line, readable
from sji_edge.streams.cameras.live import Grabbed
from sji_edge.streams.genicam.aravis_library import STATUS, SUCCESS, Aravis, AravisError, library
from sji_edge.streams.genicam.camera import (
    BUFFERS,
    POLL_S,
    Value,
    VisionOptions,
    apply_options,
    missed_between,
    vision_source,
)
from sji_edge.streams.genicam.pixel_format import NAME_OF_CODE, image_of


class AravisSource:
    """Opens the cameras that Aravis finds."""

    @staticmethod
    def open(
        target: str, options: dict[str, str], *, clock: Clock, colour: bool, skip: frozenset[Path]
    ) -> FrameSource:
        """Open the camera whose id or serial number is ``target``, or the only one.

        Raises:
            MissingExtraError: Aravis is not installed.
            SourceError: no such camera, it is taken, or it refused an option.
        """
        del skip
        settings = read_options(VisionOptions, options, "an aravis source")
        wanted = target or settings.serial
        label = f"aravis://{wanted}" if wanted else "aravis"
        aravis = library()
        return vision_source(
            lambda: AravisGrabber(aravis, wanted, settings, label), label, settings, clock, colour
        )


class AravisGrabber:
    """One camera, open and acquiring."""

    def __init__(self, aravis: Aravis, wanted: str, options: VisionOptions, label: str) -> None:
        self._aravis = aravis
        self._software = options.trigger == "software"
        self._label = label
        self._last_id: int | None = None
        self._asked = False
        self._camera = self._stream = 0
        chosen = _choose(aravis.devices(), wanted)
        try:
            self._camera = aravis.call("arv_camera_new", chosen.encode()) or 0
            apply_options(_Features(aravis, self._camera), options, label)
            self._stream = aravis.call("arv_camera_create_stream", self._camera, None, None) or 0
            size = aravis.call("arv_camera_get_payload", self._camera)
            for _ in range(BUFFERS):
                aravis.call(
                    "arv_stream_push_buffer", self._stream, aravis.call("arv_buffer_new_allocate", size)
                )
            aravis.call("arv_camera_start_acquisition", self._camera)
        except AravisError as error:
            self.release()
            raise SourceError(
                f"{label} cannot be opened: {one_line(error)}", hint="check that no other program uses it"
            ) from error
        except BaseException:
            self.release()
            raise

    def grab(self) -> Grabbed:
        """Send a software trigger if one is configured, and wait a short time for a frame."""
        call = self._aravis.call
        try:
            if self._software and not self._asked:
                call("arv_camera_execute_command", self._camera, b"TriggerSoftware")
                self._asked = True
            buffer = call("arv_stream_timeout_pop_buffer", self._stream, round(POLL_S * 1e6))
            if buffer is None:
                # While a camera waits for a trigger, poll it: a camera that is gone raises here.
                call("arv_camera_get_integer", self._camera, b"Width")
                return Grabbed.nothing()
        except AravisError as error:
            raise SourceError(f"{self._label} was lost: {one_line(error)}", hint="check its cable") from error
        self._asked = False
        try:
            return self._take(buffer)
        finally:
            call("arv_stream_push_buffer", self._stream, buffer)

    def _take(self, buffer: int) -> Grabbed:
        call = self._aravis.call
        now_id = int(call("arv_buffer_get_frame_id", buffer))
        missed, self._last_id = missed_between(self._last_id, now_id), now_id
        status = call("arv_buffer_get_status", buffer)
        if status != SUCCESS:
            return Grabbed(None, f"frame {now_id} is damaged: {STATUS.get(status, str(status))}", missed)
        size = ctypes.c_size_t()
        start = call("arv_buffer_get_data", buffer, ctypes.byref(size))
        data = np.ctypeslib.as_array((ctypes.c_uint8 * size.value).from_address(start))
        width, height, code = (
            call(f"arv_buffer_get_image_{what}", buffer) for what in ("width", "height", "pixel_format")
        )
        try:
            return Grabbed(
                image_of(data, width, height, NAME_OF_CODE.get(code, f"format {code:#x}")), "", missed
            )
        except DataError as error:
            return Grabbed(None, error.message, missed)

    def release(self) -> None:
        """Stop and close the camera."""
        try:
            if self._stream:
                self._aravis.call("arv_camera_stop_acquisition", self._camera)
        except AravisError:
            # The camera is gone already.
            pass
        finally:
            for instance in (self._stream, self._camera):
                if instance:
                    self._aravis.unref(instance)
            self._camera = self._stream = 0


class _Features:
    """Makes an Aravis camera a ``Features``."""

    def __init__(self, aravis: Aravis, camera: int) -> None:
        self._aravis = aravis
        self._camera = camera

    def has(self, name: str) -> bool:
        return bool(self._aravis.call("arv_camera_is_feature_available", self._camera, name.encode()))

    def set(self, name: str, value: Value) -> None:
        kind = {str: "string", bool: "boolean"}.get(type(value), "float")
        content = value.encode() if isinstance(value, str) else value
        try:
            self._aravis.call(f"arv_camera_set_{kind}", self._camera, name.encode(), content)
        except AravisError as error:
            raise ValueError(one_line(error)) from error

    def get_float(self, name: str) -> float:
        try:
            return float(self._aravis.call("arv_camera_get_float", self._camera, name.encode()))
        except AravisError as error:
            raise ValueError(one_line(error)) from error


def _choose(devices: list[tuple[str, str]], wanted: str) -> str:
    """Return the id of the camera with that name, or of the only camera."""
    fitting = [known[0] for known in devices if not wanted or wanted in known]
    listed = readable(", ".join(known[0] for known in devices)) or "none"
    if not fitting:
        what = f"no camera {wanted!r}" if wanted else "no camera"
        raise SourceError(
            f"{what}; Aravis sees {listed}",
            hint="check its power, and that it is in the network of this computer",
        )
    if len(fitting) > 1:
        raise SourceError(f"{len(fitting)} cameras match: {listed}", hint="name one: aravis://SERIAL")
    return fitting[0]
