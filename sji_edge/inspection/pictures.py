"""Folders of pictures with a quota: the oldest make room, records are never touched."""

import csv
import io
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import OutputError
from sji_edge.core.files import write_atomic
from sji_edge.core.preprocess import sample_crop, to_channels
from sji_edge.core.protocols import Frame, JointRecord
from sji_edge.core.verdict import Verdict
from sji_edge.inspection.work import Judgement

SUFFIXES = (".png", ".jpg")
TABLE = "crops.csv"
LIST = ".sji-edge-pictures"
COLUMNS = ("file", "board", "frame", "refdes", "verdict", "score", "label", "cause")
LOOKED_AT = (Verdict.REVIEW, Verdict.FAIL, Verdict.ERROR)


class PictureFolder:
    """Keeps pictures in a folder, up to a quota.

    Only pictures that a ``PictureFolder`` wrote there are ever deleted, the oldest first, and only to make room
    for a new one: ``.sji-edge-pictures`` lists them, and any other file of the folder is someone else's.

    Args:
        folder: made where it is not there.
        quota_bytes: of all pictures written there; None for no limit.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(self, folder: Path, quota_bytes: int | None = None) -> None:
        self.folder = folder
        self._quota = quota_bytes
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found = [(path.stat().st_mtime_ns, path, path.stat().st_size) for path in _listed(folder)]
            write_atomic(
                folder / LIST, "".join(f"{_relative(path, folder)}\n" for _, path, _ in sorted(found))
            )
        except OSError as error:
            raise OutputError(
                f"cannot make the folder {folder}: {error.strerror}", hint="choose another folder"
            ) from error
        self._kept = deque((path, size) for _, path, size in sorted(found))
        self._bytes = sum(size for _, size in self._kept)

    def write(self, name: str, data: bytes) -> Path | None:
        """Write ``folder/name``, replacing a picture of that name; None when it alone exceeds the quota.

        Raises:
            OutputError: it cannot be written.
        """
        if self._quota is not None and len(data) > self._quota:
            return None
        path = self.folder / name
        try:
            if path.exists():
                self._bytes -= path.stat().st_size
                self._kept = deque(one for one in self._kept if one[0] != path)
            while self._quota is not None and self._kept and self._bytes + len(data) > self._quota:
                oldest, size = self._kept.popleft()
                oldest.unlink(missing_ok=True)
                self._bytes -= size
            path.parent.mkdir(parents=True, exist_ok=True)
            with (self.folder / LIST).open("a", encoding="utf-8") as stream:
                stream.write(f"{name}\n")
            # A power cut may cost the last pictures; waiting for the disk after each would cost the loop more.
            write_atomic(path, data, sync=False)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from error
        self._kept.append((path, len(data)))
        self._bytes += len(data)
        return path


class JointCrops:
    """Keeps the crops of joints that did not pass, to be labelled anew.

    ``VERDICT/BOARD_REFDES.png`` is the crop that the engine saw; ``crops.csv`` tells each one's score and label. Sorted
    into class folders by a person, they are a training split.

    Args:
        store: where they go.
        spec: the crop that the placement's maps belong to.
    """

    def __init__(self, store: PictureFolder, spec: PreprocessSpec) -> None:
        self._store = store
        self._spec = spec

    def keep(self, frame: Frame, judgement: Judgement) -> None:
        """Keep what a board has to look at; a board that was not aligned has no crops.

        Raises:
            OutputError: a crop cannot be written.
        """
        placement = judgement.placement
        if frame.pixels is None or placement is None:
            return
        prepared = to_channels(frame.pixels, self._spec.channels)
        rows = []
        joints = zip(judgement.record.joints, placement.maps, placement.inside.tolist(), strict=True)
        for joint, crop_map, inside in joints:
            if joint.verdict not in LOOKED_AT or not inside:
                continue
            crop = np.empty(self._spec.shape, np.uint8)
            sample_crop(prepared, crop_map, crop)
            name = f"{joint.verdict.value}/{_plain(judgement.record.board)}_{_plain(joint.refdes)}.png"
            if self._store.write(name, cv2.imencode(".png", crop)[1].tobytes()) is not None:
                rows.append(_row(name, judgement, joint))
        if rows:
            self._list(rows)

    def _list(self, rows: list[tuple[object, ...]]) -> None:
        path = self._store.folder / TABLE
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        try:
            if not path.exists():
                writer.writerow(COLUMNS)
            writer.writerows(rows)
            with path.open("a", newline="", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(text.getvalue())
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from error


def _row(name: str, judgement: Judgement, joint: JointRecord) -> tuple[object, ...]:
    score = "" if joint.score is None else joint.score
    record = judgement.record
    return (
        name,
        record.board,
        record.frame_name,
        joint.refdes,
        joint.verdict.value,
        score,
        joint.label,
        joint.cause,
    )


def _plain(name: str) -> str:
    """Return a name that cannot leave its folder; two names never become one."""
    return "".join(
        letter
        if letter.isalnum() or letter in "._-"
        else "".join(f"%{byte:02X}" for byte in letter.encode("utf-8", "surrogateescape"))
        for letter in name
    )


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _listed(folder: Path) -> Iterator[Path]:
    """Pictures of earlier runs that are still there; a line that leads elsewhere, or to no picture, is passed over."""
    ledger = folder / LIST
    lines = ledger.read_text(encoding="utf-8").splitlines() if ledger.is_file() else []
    for name in dict.fromkeys(lines):
        path = folder / name
        inside = not Path(name).is_absolute() and ".." not in Path(name).parts
        if inside and path.suffix in SUFFIXES and path.is_file():
            yield path
