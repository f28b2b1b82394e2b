"""From what a user writes after ``--stream`` to a source of frames."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl

from sji_edge.core.clock import Clock
from sji_edge.core.errors import SourceError, UsageError
from sji_edge.core.preprocess import IMAGE_SUFFIXES
from sji_edge.core.protocols import FrameSource
from sji_edge.streams import SOURCES

SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>.*)", re.IGNORECASE)
CAMERA = re.compile(r"(?:camera|/dev/video)?(?P<index>[0-9]{1,3})")


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A source's kind, a name of ``SOURCES``; its target; and the options after the question mark."""

    kind: str
    target: str
    options: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``camera0``, ``0``, ``/dev/video0``, a folder, an image, a video file or ``KIND://TARGET``.

        What exists as a path is that path, whatever it is called; options follow as ``?name=value``.

        Raises:
            UsageError: empty, or the scheme is not a kind of source.
            SourceError: neither a device nor an existing path.
        """
        if not text.strip():
            raise UsageError("the stream's name is empty", hint="for example --stream camera0")
        if Path(text).exists() and not text.startswith("/dev/"):
            return cls(_kind_of_path(Path(text)), text)
        target, _, query = text.partition("?")
        options = dict(parse_qsl(query, keep_blank_values=True))
        scheme = SCHEME.fullmatch(target)
        if scheme:
            SOURCES.get(scheme["scheme"].lower())
            return cls(scheme["scheme"].lower(), scheme["rest"], options)
        camera = CAMERA.fullmatch(target)
        if camera:
            return cls("camera", camera["index"], options)
        if not Path(target).exists():
            raise SourceError(
                f"no stream {target!r}: no such file, folder or camera",
                hint="a folder, an image, a video file, camera0, 0 or /dev/video0",
            )
        return cls(_kind_of_path(Path(target)), target, options)


def _kind_of_path(path: Path) -> str:
    return "folder" if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES else "video"


def open_source(text: str, clock: Clock, *, colour: bool = True, skip: Collection[Path] = ()) -> FrameSource:
    """Open the source that a user named.

    Args:
        text: see ``SourceSpec.parse``.
        clock: stamps each frame.
        colour: False brings colour frames to grey as they are read.
        skip: files that are no frames though they lie among them, such as a recipe's golden image.

    Raises:
        UsageError: an unknown scheme or option.
        SourceError: it does not exist or cannot be opened.
    """
    spec = SourceSpec.parse(text)
    source: FrameSource = SOURCES.get(spec.kind).open(
        spec.target, spec.options, clock=clock, colour=colour, skip=frozenset(skip)
    )
    return source


def refuse_options(kind: str, options: dict[str, str], known: Collection[str] = ()) -> None:
    """Raise ``UsageError`` for options that a kind of source does not take."""
    unknown = sorted(set(options) - set(known))
    if unknown:
        takes = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
        raise UsageError(f"a {kind} source has no option {', '.join(map(repr, unknown))}; {takes}")
