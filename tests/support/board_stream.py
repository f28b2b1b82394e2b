"""Frames of bright and dark boards, as streams that end, repeat or never wait; and what of them is on record."""

import itertools
import sqlite3
from contextlib import closing
from dataclasses import replace

import cv2
import numpy as np
from support.bright_model import PLACES, board_image

from sji_edge.streams.files.folder import FolderSource

GREYS = [40, 60, 80]


def write_boards(folder):
    """Six frames: good, doubtful, bad, black, of another size, no image."""
    folder.mkdir()
    for number, grey in enumerate(GREYS):
        cv2.imwrite(str(folder / f"{number}.png"), board_image(dict.fromkeys(PLACES, 40) | {"J2": grey}))
    cv2.imwrite(str(folder / "3.png"), np.zeros((520, 640), np.uint8))
    cv2.imwrite(str(folder / "4.png"), np.full((52, 64), 99, np.uint8))
    (folder / "5.png").write_text("no image")
    return folder


def source_of(folder, clock):
    return FolderSource.open(str(folder), {}, clock=clock, colour=True, skip=frozenset())


def recorded(tmp_path):
    with closing(sqlite3.connect(tmp_path / "inspections.db")) as connection:
        return connection.execute("SELECT frame_name, verdict FROM boards ORDER BY id").fetchall()


class Endless:
    """The frames of a source over and over, each under a new name."""

    def __init__(self, frames):
        self._frames = frames

    def __iter__(self):
        for index in itertools.count():
            frame = self._frames[index % len(self._frames)]
            yield replace(frame, index=index, name=f"{index}.png")

    def close(self):
        pass


def endless(tmp_path, clock):
    return Endless(list(source_of(write_boards(tmp_path / "frames"), clock))[:3])


class Camera:
    """Gives so many frames as fast as it can, whether anyone takes them or not."""

    def __init__(self, frames, count):
        self._frames, self._count = frames, count

    def __iter__(self):
        for index in range(self._count):
            yield replace(self._frames[index % len(self._frames)], index=index)

    def close(self):
        pass


class Given:
    """Frames that are ready."""

    def __init__(self, frames):
        self._frames = frames

    def __iter__(self):
        return iter(self._frames)

    def close(self):
        pass
