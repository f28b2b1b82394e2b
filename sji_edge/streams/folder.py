"""The images of a folder, in the order of their names."""

from collections.abc import Iterator
from pathlib import Path
from typing import Self

from sji_edge.core.clock import Clock
from sji_edge.core.errors import DataError, SourceError
from sji_edge.core.preprocess import IMAGE_SUFFIXES, read_image
from sji_edge.core.protocols import Frame
from sji_edge.streams.spec import refuse_options


class FolderSource:
    """Reads images one by one. One that cannot be decoded is a frame without pixels, and does not end it.

    Args:
        paths: the images, in order.
        clock: stamps each frame when its pixels are ready.
        colour: False brings colour to grey.
    """

    def __init__(self, paths: list[Path], clock: Clock, colour: bool = True) -> None:
        self._paths = paths
        self._clock = clock
        self._colour = colour

    @classmethod
    def open(
        cls, target: str, options: dict[str, str], *, clock: Clock, colour: bool, skip: frozenset[Path]
    ) -> Self:
        """List a folder's images, or take a single one; those in ``skip`` are left out.

        Raises:
            SourceError: no such folder, or no image in it.
        """
        refuse_options("folder", options)
        root = Path(target)
        try:
            found = sorted(root.iterdir()) if root.is_dir() else [root]
        except OSError as error:
            raise SourceError(f"cannot list {root}: {error.strerror}") from error
        hidden = {path.resolve() for path in skip}
        paths = [
            path
            for path in found
            if path.suffix.lower() in IMAGE_SUFFIXES
            and not path.name.startswith(".")
            and path.is_file()
            and path.resolve() not in hidden
        ]
        if not paths:
            raise SourceError(
                f"no image in {root}" if root.exists() else f"no such folder {root}",
                hint=f"images end in {', '.join(IMAGE_SUFFIXES)}; folders inside it are not searched",
            )
        return cls(paths, clock, colour)

    def __iter__(self) -> Iterator[Frame]:
        """Yield one frame an image."""
        for index, path in enumerate(self._paths):
            try:
                pixels = read_image(path, colour=self._colour)
            except DataError as error:
                yield Frame(index, path.name, self._clock.monotonic_ns(), None, error.message)
            else:
                yield Frame(index, path.name, self._clock.monotonic_ns(), pixels)

    def close(self) -> None:
        """Nothing is held open."""
