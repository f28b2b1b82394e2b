"""GenICam cameras through the manufacturer's GenTL producer (``.cti``), read by ``harvesters``."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sji_edge.core.clock import Clock
from sji_edge.core.errors import DataError, SourceError
from sji_edge.core.extras import load
from sji_edge.core.options import read_options
from sji_edge.core.protocols import FrameSource
from sji_edge.core.text import one_line, readable
from sji_edge.streams.cameras.live import Grabbed
from sji_edge.streams.genicam.camera import (
    BUFFERS,
    POLL_S,
    Value,
    VisionOptions,
    apply_options,
    missed_between,
    vision_source,
)
from sji_edge.streams.genicam.pixel_format import image_of

PRODUCER_PATH = "GENICAM_GENTL64_PATH"
"""Environment variable with the folders of installed GenTL producers, joined by the system's path separator."""


class GenicamOptions(VisionOptions):
    """``cti``: the producer's file; without it, all producers in ``GENICAM_GENTL64_PATH`` are used."""

    cti: str = ""


class GenicamSource:
    """Opens GenICam cameras."""

    @staticmethod
    def open(
        target: str, options: dict[str, str], *, clock: Clock, colour: bool, skip: frozenset[Path]
    ) -> FrameSource:
        """Open the camera whose serial number, id or user-defined name is ``target``, or the only one.

        Raises:
            MissingExtraError: ``harvesters`` is not installed.
            SourceError: no producer, no such camera, it is taken, or it refused an option.
        """
        del skip
        settings = read_options(GenicamOptions, options, "a genicam source")
        wanted = target or settings.serial
        label = f"genicam://{wanted}" if wanted else "genicam"
        core, gentl = (load(name, "a genicam source") for name in ("harvesters.core", "genicam.gentl"))
        producers = _producers(settings.cti, os.environ.get(PRODUCER_PATH, ""))

        def open_device() -> "GenicamGrabber":
            return GenicamGrabber(core, gentl, producers, wanted, settings, label)

        return vision_source(open_device, label, settings, clock, colour)


def _producers(cti: str, path: str) -> list[Path]:
    if cti:
        files = [Path(cti)]
    else:
        files = [
            file for folder in path.split(os.pathsep) if folder for file in sorted(Path(folder).glob("*.cti"))
        ]
    missing = [file for file in files if not file.is_file()]
    if missing or not files:
        what = (
            f"no GenTL producer {missing[0]}" if missing else f"no GenTL producer: {PRODUCER_PATH} names none"
        )
        raise SourceError(
            what, hint="install the manufacturer's, or name its file: genicam://?cti=/path/to/producer.cti"
        )
    return files


class GenicamGrabber:
    """One camera, open and acquiring."""

    def __init__(
        self, core: Any, gentl: Any, producers: list[Path], wanted: str, options: GenicamOptions, label: str
    ) -> None:
        self._failure: type[Exception] = gentl.GenericException
        self._options = options
        self._label = label
        self._last_id: int | None = None
        self._asked = False
        self._acquirer: Any = None
        self._harvester = core.Harvester()
        try:
            for producer in producers:
                self._harvester.add_file(str(producer))
            self._harvester.update()
            with _own_sigint():
                self._acquirer = self._harvester.create(_choose(self._harvester.device_info_list, wanted))
            self._nodes = self._acquirer.remote_device.node_map
            apply_options(_Nodes(self._nodes), options, label)
            self._acquirer.num_buffers = max(BUFFERS, self._acquirer.min_num_buffers)
            self._acquirer.start()
        except self._failure as error:
            self.release()
            raise SourceError(
                f"{label} cannot be opened: {_line(error)}", hint="check that no other program uses it"
            ) from error
        except BaseException:
            self.release()
            raise

    def grab(self) -> Grabbed:
        """Send a software trigger if one is configured, and wait a short time for a frame."""
        try:
            if self._options.trigger == "software" and not self._asked:
                self._nodes.get_node("TriggerSoftware").execute()
                self._asked = True
            buffer = self._acquirer.try_fetch(timeout=POLL_S)
            if buffer is None:
                # While a camera waits for a trigger, poll it: a camera that is gone raises here.
                self._nodes.get_node("Width").value  # noqa: B018
                return Grabbed.nothing()
            with buffer:
                self._asked = False
                return self._take(buffer)
        except self._failure as error:
            raise SourceError(f"{self._label} was lost: {_line(error)}", hint="check its cable") from error

    def _take(self, buffer: Any) -> Grabbed:
        now_id = self._frame_id(buffer)
        missed, self._last_id = missed_between(self._last_id, now_id), now_id
        part = buffer.payload.components[0]
        try:
            data = np.asarray(part.data).reshape(-1).view(np.uint8)
            return Grabbed(image_of(data, part.width, part.height, part.data_format), missed=missed)
        except DataError as error:
            return Grabbed(None, error.message, missed)

    def _frame_id(self, buffer: Any) -> int | None:
        try:
            return int(buffer.module.frame_id)
        except self._failure:
            return None

    def release(self) -> None:
        """Close the camera and the producer."""
        try:
            if self._acquirer is not None:
                self._acquirer.destroy()
        finally:
            self._harvester.reset()


class _Nodes:
    """Makes a node map a ``Features``."""

    def __init__(self, nodes: Any) -> None:
        self._nodes = nodes

    def has(self, name: str) -> bool:
        return bool(self._nodes.has_node(name))

    def set(self, name: str, value: Value) -> None:
        try:
            self._nodes.get_node(name).value = value
        except Exception as error:
            # GenApi's exceptions have no common base class.
            raise ValueError(_line(error)) from error

    def get_float(self, name: str) -> float:
        try:
            return float(self._nodes.get_node(name).value)
        except Exception as error:
            raise ValueError(_line(error)) from error


def _choose(devices: list[Any], wanted: str) -> Any:
    """Return the camera with that name, or the only camera."""
    names = [_names(device) for device in devices]
    fitting = [device for device, known in zip(devices, names, strict=True) if not wanted or wanted in known]
    listed = readable(", ".join(known[0] for known in names)) or "none"
    if not fitting:
        what = f"no camera {wanted!r}" if wanted else "no camera"
        raise SourceError(f"{what}; the producer sees {listed}", hint="check its cable and power")
    if len(fitting) > 1:
        raise SourceError(f"{len(fitting)} cameras match: {listed}", hint="name one: genicam://SERIAL")
    return fitting[0]


def _names(device: Any) -> list[str]:
    known = device.property_dict
    return [str(known[key]) for key in ("serial_number", "id_", "user_defined_name") if known.get(key)]


@contextmanager
def _own_sigint() -> Iterator[None]:
    """Keep the handler of SIGINT that was there: ``harvesters`` installs one of its own that exits at once."""
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if main else None
    try:
        yield
    finally:
        if main:
            signal.signal(signal.SIGINT, handler)


def _line(error: BaseException) -> str:
    return one_line(error)
