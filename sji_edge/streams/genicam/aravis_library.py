"""Binds the part of Aravis' C interface that a source needs; Aravis is a system library (LGPL), not a Python one."""

import ctypes
import ctypes.util
import functools
from ctypes import (
    POINTER,
    byref,
    c_char_p,
    c_double,
    c_int,
    c_int64,
    c_size_t,
    c_uint,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any

from sji_edge.core.errors import MissingExtraError

LIBRARY = "aravis-0.8"
SUCCESS = 0
STATUS = {
    -1: "unknown",
    1: "empty",
    2: "its packets did not come in time",
    3: "some of its packets were lost",
    4: "one of its packets has a wrong number",
    5: "its size differs from the size that the camera announced",
    6: "it is not complete",
    7: "the acquisition was stopped",
    8: "it is not an image",
}
"""Why a buffer holds no complete frame, by ``ArvBufferStatus``."""


class AravisError(Exception):
    """The message of a ``GError``."""


class _GError(ctypes.Structure):
    _fields_ = (("domain", c_uint32), ("code", c_int), ("message", c_char_p))


_ERROR = POINTER(POINTER(_GError))
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "arv_update_device_list": (None, ()),
    "arv_get_n_devices": (c_uint, ()),
    "arv_get_device_id": (c_char_p, (c_uint,)),
    "arv_get_device_serial_nbr": (c_char_p, (c_uint,)),
    "arv_camera_new": (c_void_p, (c_char_p, _ERROR)),
    "arv_camera_is_feature_available": (c_int, (c_void_p, c_char_p, _ERROR)),
    "arv_camera_set_string": (None, (c_void_p, c_char_p, c_char_p, _ERROR)),
    "arv_camera_set_float": (None, (c_void_p, c_char_p, c_double, _ERROR)),
    "arv_camera_set_boolean": (None, (c_void_p, c_char_p, c_int, _ERROR)),
    "arv_camera_get_float": (c_double, (c_void_p, c_char_p, _ERROR)),
    "arv_camera_get_integer": (c_int64, (c_void_p, c_char_p, _ERROR)),
    "arv_camera_execute_command": (None, (c_void_p, c_char_p, _ERROR)),
    "arv_camera_get_payload": (c_uint, (c_void_p, _ERROR)),
    "arv_camera_create_stream": (c_void_p, (c_void_p, c_void_p, c_void_p, _ERROR)),
    "arv_camera_start_acquisition": (None, (c_void_p, _ERROR)),
    "arv_camera_stop_acquisition": (None, (c_void_p, _ERROR)),
    "arv_buffer_new_allocate": (c_void_p, (c_size_t,)),
    "arv_stream_push_buffer": (None, (c_void_p, c_void_p)),
    "arv_stream_timeout_pop_buffer": (c_void_p, (c_void_p, c_uint64)),
    "arv_buffer_get_status": (c_int, (c_void_p,)),
    "arv_buffer_get_frame_id": (c_uint64, (c_void_p,)),
    "arv_buffer_get_data": (c_void_p, (c_void_p, POINTER(c_size_t))),
    "arv_buffer_get_image_width": (c_int, (c_void_p,)),
    "arv_buffer_get_image_height": (c_int, (c_void_p,)),
    "arv_buffer_get_image_pixel_format": (c_uint32, (c_void_p,)),
}


@functools.cache
def library() -> "Aravis":
    """Load Aravis, once.

    Raises:
        MissingExtraError: it is not installed.
    """
    name = ctypes.util.find_library(LIBRARY)
    if name is None:
        raise MissingExtraError(
            "an aravis source needs the library Aravis, which this machine does not have",
            hint="apt-get install libaravis-0.8-0",
        )
    return Aravis(ctypes.CDLL(name), ctypes.CDLL(ctypes.util.find_library("gobject-2.0")))


class Aravis:
    """Calls Aravis' functions; a ``GError`` becomes an ``AravisError``."""

    def __init__(self, aravis: ctypes.CDLL, gobject: ctypes.CDLL) -> None:
        self._functions = {name: getattr(aravis, name) for name in _SIGNATURES}
        for name, (result, arguments) in _SIGNATURES.items():
            self._functions[name].restype = result
            self._functions[name].argtypes = arguments
        gobject.g_object_unref.argtypes = (c_void_p,)
        gobject.g_object_unref.restype = None
        gobject.g_error_free.argtypes = (c_void_p,)
        gobject.g_error_free.restype = None
        self._gobject = gobject

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function; the ``GError`` argument is added for those that take one."""
        takes_error = _SIGNATURES[name][1][-1:] == (_ERROR,)
        if not takes_error:
            return self._functions[name](*arguments)
        error = POINTER(_GError)()
        result = self._functions[name](*arguments, byref(error))
        if error:
            message = error.contents.message.decode(errors="replace")
            self._gobject.g_error_free(error)
            raise AravisError(message)
        return result

    def devices(self) -> list[tuple[str, str]]:
        """Search for cameras; returns the id and serial number of each."""
        self.call("arv_update_device_list")
        return [
            (
                (self.call("arv_get_device_id", at) or b"").decode(errors="replace"),
                (self.call("arv_get_device_serial_nbr", at) or b"").decode(errors="replace"),
            )
            for at in range(self.call("arv_get_n_devices"))
        ]

    def unref(self, instance: int) -> None:
        """Release an object."""
        self._gobject.g_object_unref(instance)
