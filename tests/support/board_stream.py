"""Frames of bright and dark boards, as streams that end, repeat or never wait; and what of them is on record."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import cv2
import numpy as np
from support.bright_model import PLACES, board_image

from sji_edge.streams.files.folder import FolderSource
from sji_edge.testing import FakeSource

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


def endless(tmp_path, clock):
    return FakeSource(list(source_of(write_boards(tmp_path / "frames"), clock))[:3], repeat=True)


class Camera(FakeSource):
    """A source of ``count`` frames, as fast as it can."""

    def __init__(self, frames, count):
        super().__init__(replace(frames[index % len(frames)], index=index) for index in range(count))
