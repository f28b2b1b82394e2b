"""Turns what a user writes as a stream into a source of frames."""

import glob
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl

from sji_edge.core.clock import Clock
from sji_edge.core.config import CONFIG_FILE, VARIABLE, expand, load_config
from sji_edge.core.errors import EnvironmentMismatchError, SjiError, SourceError, UsageError
from sji_edge.core.images.read import IMAGE_SUFFIXES
from sji_edge.core.left_out import LeftOut
from sji_edge.core.protocols import FrameSource
from sji_edge.streams import SOURCES
from sji_edge.streams.redaction import redact, without

SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
CAMERA = re.compile(r"(?:camera|/dev/video)?(?P<index>[0-9]{1,3})")
OPTIONS = re.compile(r"(?P<target>.*?)\?(?P<query>[a-z][a-z-]*=[^?]*)", re.DOTALL)
NETWORK = frozenset({"rtsp", "http", "https"})
"""Schemes whose query belongs to the camera; the source removes its own options from it."""

FOLDERS = frozenset({"folder", "watch"})


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A source's kind, a name of ``SOURCES``; its target; and the options after the question mark.

    Target and options may contain a password, so the ``repr`` leaves them out.
    """

    kind: str
    target: str = field(repr=False)
    options: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``camera0``, ``0``, ``/dev/video0``, a folder, a pattern, an image, a video or ``KIND://TARGET``.

        An existing path is that path, whatever its name; options follow as ``?name=value``.

        Raises:
            UsageError: empty, or the scheme is not a kind of source.
            SourceError: neither a device nor an existing path.
        """
        if not text.strip():
            raise UsageError("the stream is empty", hint="name one, for example camera0")
        if _exists(text) and not text.startswith("/dev/"):
            return cls(_kind_of_path(text), text)
        url = SCHEME.fullmatch(text)
        if url and url["scheme"].lower() in NETWORK:
            return cls(url["scheme"].lower(), text)
        target, options = _split_options(text)
        scheme = SCHEME.fullmatch(target)
        if scheme:
            SOURCES.get(scheme["scheme"].lower())
            return cls(*_watched(scheme["scheme"].lower(), scheme["rest"], options))
        camera = CAMERA.fullmatch(target)
        if camera:
            return cls("camera", camera["index"], options)
        if not _exists(target) and not glob.has_magic(target):
            raise SourceError(
                f"no stream {redact(target)!r}: no such file, folder or camera",
                hint="a folder, 'frames/*.png', an image, a video file, camera0, rtsp://…, http://…, synthetic://, "
                f"or a name under [streams] in {CONFIG_FILE}",
            )
        return cls(*_watched(_kind_of_path(target), target, options))


def _split_options(text: str) -> tuple[str, dict[str, str]]:
    """Split off ``?name=value&…``; any other question mark belongs to a pattern."""
    parts = OPTIONS.fullmatch(text)
    if parts is None:
        return text.removesuffix("?") if "://" in text else text, {}
    return parts["target"], dict(parse_qsl(parts["query"], keep_blank_values=True))


def _watched(kind: str, target: str, options: dict[str, str]) -> tuple[str, str, dict[str, str]]:
    if kind != "folder" or options.get("watch") not in ("1", "true", "yes", "on"):
        return kind, target, options
    return "watch", target, {name: value for name, value in options.items() if name != "watch"}


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


def _kind_of_path(text: str) -> str:
    path = Path(text)
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES or not path.exists():
        return "folder"
    return "video"


def open_source(
    text: str,
    clock: Clock,
    *,
    colour: bool = True,
    skip: Collection[Path] = (),
    ignore_existing: bool = False,
    bit_depth: int | None = None,
    max_pixels: int | None = None,
    config: Path = CONFIG_FILE,
    environ: Mapping[str, str] = os.environ,
) -> FrameSource:
    """Open the source that a user named.

    Args:
        text: a name under ``[streams]`` in the configuration, or see ``SourceSpec.parse``.
        clock: stamps each frame.
        colour: False turns colour frames into grey.
        skip: files among the frames that are not frames, such as a recipe's golden image.
        ignore_existing: for a watched folder, skip the images that it already holds.
        bit_depth: bits of a 16-bit sample that the camera uses, for folders; None when nobody declared it.
        max_pixels: larger image files are refused before they are decoded; None for the general limit.
        config: the file that names streams; it need not exist.
        environ: variables that the configuration refers to.

    Raises:
        UsageError: an unknown scheme or option, a wrong configuration.
        SourceError: it does not exist or cannot be opened.
    """
    limits = {"bit-depth": bit_depth, "max-pixels": max_pixels}
    named = load_config(config).streams.get(text)
    if named is None:
        return _open(SourceSpec.parse(text), clock, colour, skip, ignore_existing, limits)
    try:
        spec = SourceSpec.parse(expand(named, environ))
    except (UsageError, SourceError) as error:
        if "environment" in error.message:
            raise
        # Its value may be a password, and is not shown.
        raise type(error)(
            f"the stream {text!r} in {config} is neither a camera nor an existing file or folder",
            hint=f"correct its value in {config}",
        ) from None
    try:
        return _open(spec, clock, colour, skip, ignore_existing, limits)
    except SjiError as error:
        hidden = [environ[name] for name in VARIABLE.findall(named) if environ.get(name)]
        raise type(error)(without(error.message, hidden), hint=without(error.hint, hidden)) from None


def _open(
    spec: SourceSpec,
    clock: Clock,
    colour: bool,
    skip: Collection[Path],
    ignore_existing: bool,
    limits: Mapping[str, int | None],
) -> FrameSource:
    options = dict(spec.options)
    if ignore_existing:
        if spec.kind != "watch":
            raise UsageError(
                "only a watched folder can ignore existing files",
                hint="watch the folder, for example 'frames?watch=1'",
            )
        options["ignore-existing"] = "1"
    if spec.kind in FOLDERS:
        given = {name: str(value) for name, value in limits.items() if value is not None}
        options = given | options
    kind = SOURCES.get(spec.kind)
    if not callable(getattr(kind, "open", None)):
        raise EnvironmentMismatchError(
            f"source {spec.kind!r} has no method open(target, options, *, clock, colour, skip)",
            hint="see sji_edge.core.protocols.SourceKind",
        )
    source: FrameSource = kind.open(spec.target, options, clock=clock, colour=colour, skip=frozenset(skip))
    return source


def runs_free(source: FrameSource) -> bool:
    """Tell whether a source takes frames at its own pace, as a free-running camera does."""
    return bool(getattr(source, "free_running", False))


def left_out_of(source: FrameSource) -> tuple[LeftOut, ...]:
    """Return what a source found beside its frames and skips, such as files of other formats."""
    return tuple(getattr(source, "left_out", ()))


def is_stored(source: FrameSource) -> bool:
    """Tell whether a source's frames are stored, so that reading one is not the moment of its capture."""
    return bool(getattr(source, "stored", False))
