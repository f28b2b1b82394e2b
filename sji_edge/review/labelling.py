"""Label: the crops of a pool in a chosen order, which of them look alike, and the labels that people give them."""

import sqlite3
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sji_edge.core.clock import Clock
from sji_edge.core.decisions import Answer, Decision, DecisionRow
from sji_edge.core.errors import OutputError, UsageError
from sji_edge.core.files import read_bounded
from sji_edge.core.read_only_database import open_read_only
from sji_edge.decisions.log import DecisionLog, Undo
from sji_edge.decisions.read import current, read_decisions
from sji_edge.pool.read import Order, PoolFilter, PoolReader
from sji_edge.pool.rows import Crop
from sji_edge.pool.schema import DATABASE
from sji_edge.review.categories import Categories
from sji_edge.review.likeness import likeness_vectors, nearest_to, one_after_another
from sji_edge.review.pictures import Encoded, NoPictureError
from sji_edge.review.shown import Person
from sji_edge.review.verification import MAX_SECONDS

Sorting = Literal["newest", "oldest", "place", "score", "doubt", "novelty", "likeness", "disagreement"]
LABELLED = ("", "none", "any")
"""Which crops by their label: all, those without, those with one; or the name of a class."""
PAGE = 200
COMPARED = 4000
"""Crops that are compared with each other at once; more would take seconds."""
MAX_LABELS = 2000
MAX_PICTURE_BYTES = 8 << 20
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class ShownCrop:
    """A crop as the page gets it; ``box`` is the joint's own in the picture: left, top, width and height in pixels."""

    id: int
    refdes: str
    package: str
    board: str
    unit: str
    captured: str
    kept_because: str
    verdict: str
    score: float | None
    novelty: float | None
    label: str
    who: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class CropPage:
    """Crops in order, and where the next page starts; None after the last one."""

    crops: tuple[ShownCrop, ...]
    after: int | None


@dataclass(frozen=True, slots=True)
class Facets:
    """What a pool's crops can be filtered by, with the number of crops, and how many have each label."""

    crops: int
    packages: dict[str, int]
    boards: dict[str, int]
    labels: dict[str, int]
    judged: bool


class Labels:
    """The labels that count in one pool, kept up to date with what other stations write.

    Args:
        path: ``pool.db``.
        clock: for the time of each label.
    """

    def __init__(self, path: Path, clock: Clock | None) -> None:
        self._path = path
        self.log = DecisionLog(path, clock)
        self._rows: dict[int, DecisionRow] = {}
        self._last = 0
        self._lock = threading.Lock()

    def current(self) -> dict[int, DecisionRow]:
        """Return the row that counts by crop id; raises ``OutputError`` where it cannot be read."""
        with self._lock:
            try:
                with closing(open_read_only(self._path)) as database:
                    self._refresh(database.connection)
            except sqlite3.Error as error:
                raise OutputError(f"cannot read {self._path}: {error}", hint="try again") from error
            return dict(self._rows)

    def _refresh(self, connection: sqlite3.Connection) -> None:
        new = list(read_decisions(connection, after=self._last))
        for subject in {(row.subject, row.refdes) for row in new}:
            crop = int(subject[0])
            found = current(read_decisions(connection, subject=subject)).get(subject)
            if found is None:
                self._rows.pop(crop, None)
            else:
                self._rows[crop] = found
        if new:
            self._last = new[-1].id


class Pool:
    """One pool as the view *Label* shows it. Safe to use from several threads.

    Args:
        folder: the pool.
        categories: the classes.
        clock: for the time of each label.

    Raises:
        UsageError: there is no pool.
        OutputError: it cannot be written.
    """

    def __init__(self, folder: Path, categories: Categories, clock: Clock | None = None) -> None:
        self.folder = folder
        self._categories = categories
        # Says what is wrong with a folder that is no pool, before anything is written.
        PoolReader(folder).close()
        self._labels = Labels(folder / DATABASE, clock)

    def close(self) -> None:
        """Close the database."""
        self._labels.log.close()

    def facets(self) -> Facets:
        """Return what the crops can be filtered by."""
        labels = Counter(row.category for row in self._labels.current().values())
        with PoolReader(self.folder) as reader:
            return Facets(
                reader.count(),
                reader.counts("package"),
                reader.counts("board"),
                dict(labels),
                bool(reader.engines()),
            )

    def page(
        self,
        wanted: PoolFilter,
        order: Sorting,
        labelled: str = "",
        after: int | None = None,
        limit: int = PAGE,
    ) -> CropPage:
        """Return crops in an order.

        Args:
            wanted: which crops.
            order: as a pool's own orders; or by ``likeness``, neighbours alike; or by ``disagreement``, labels that
                contradict the model first. The last two compare the newest ``COMPARED`` crops.
            labelled: which crops by their label, see ``LABELLED``.
            after: id of the last crop of the page before.
            limit: maximum number of crops.
        """
        self._check_labelled(labelled)
        rows = self._labels.current()
        with PoolReader(self.folder) as reader:
            if order in ("likeness", "disagreement"):
                every = _gather(reader, wanted, "newest", rows, labelled, None, COMPARED)
                ordered = (
                    self._disagreeing(every, rows)
                    if order == "disagreement"
                    else [every[index] for index in one_after_another(likeness_vectors(every))]
                )
                return CropPage(tuple(_shown(crop, rows) for crop in ordered[:limit]), None)
            own: Order = order  # type: ignore[assignment]
            crops = _gather(reader, wanted, own, rows, labelled, after, limit)
        more = crops[-1].id if len(crops) == limit else None
        return CropPage(tuple(_shown(crop, rows) for crop in crops), more)

    def alike(
        self, ids: Sequence[int], wanted: PoolFilter, labelled: str = "", limit: int = PAGE
    ) -> CropPage:
        """Return the crops that look most like some others, those themselves first."""
        self._check_labelled(labelled)
        rows = self._labels.current()
        with PoolReader(self.folder) as reader:
            samples = [reader.get(one) for one in ids[:100]]
            if not samples:
                raise UsageError("no crops were named")
            known = {crop.id for crop in samples}
            others = [
                crop
                for crop in _gather(reader, wanted, "newest", rows, labelled, None, COMPARED)
                if crop.id not in known
            ]
        every = [*samples, *others]
        vectors = likeness_vectors(every)
        nearest = nearest_to(vectors[: len(samples)], vectors[len(samples) :])
        ordered = [*samples, *(others[index] for index in nearest)]
        return CropPage(tuple(_shown(crop, rows) for crop in ordered[:limit]), None)

    def label(
        self,
        person: Person,
        ids: Sequence[int],
        category: str,
        seconds: float | None,
        score_shown: bool,
        token: str,
    ) -> list[int]:
        """Give crops a class, in one transaction; return the rows. It is on disk when this returns.

        Raises:
            UsageError: a class or a crop that does not exist, or too many crops.
            OutputError: it cannot be written.
        """
        if category not in self._categories.names:
            raise UsageError(f"there is no class {category[:40]!r}")
        if not 1 <= len(ids) <= MAX_LABELS:
            raise UsageError(f"1 to {MAX_LABELS} crops can be labelled at once (got {len(ids)})")
        with PoolReader(self.folder) as reader:
            for start in range(0, len(ids), 500):
                part = tuple(dict.fromkeys(ids[start : start + 500]))
                if reader.count(PoolFilter(ids=part)) != len(part):
                    raise UsageError("the pool does not have all of these crops")
        each = None if seconds is None else min(max(seconds, 0.0), MAX_SECONDS) / len(ids)
        decisions = [
            Decision(
                person.name,
                person.role,
                str(one),
                "",
                Answer.LABELLED,
                category,
                each,
                score_shown,
                token=f"{person.name}:{token}:{one}",
            )
            for one in dict.fromkeys(ids)
        ]
        return self._labels.log.append(decisions)

    def undo(self, person: Person, rows: Sequence[int], token: str) -> None:
        """Take labels back; raises as ``DecisionLog.undo``."""
        for row in rows[:MAX_LABELS]:
            self._labels.log.undo(Undo(row, person.name, person.role, f"{person.name}:undo:{token}:{row}"))

    def picture(self, crop_id: int) -> Encoded:
        """Return a crop's picture; raises ``NoPictureError`` if it is not there."""
        with PoolReader(self.folder) as reader:
            path = reader.picture(reader.get(crop_id))
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise NoPictureError("the picture lies outside the pool")
        try:
            data = read_bounded(path, MAX_PICTURE_BYTES)
        except UsageError as error:
            raise NoPictureError("the picture is missing or cannot be read") from error
        if not data.startswith(PNG):
            raise NoPictureError("the picture is damaged")
        return Encoded(data, "image/png")

    def _disagreeing(self, crops: list[Crop], rows: dict[int, DecisionRow]) -> list[Crop]:
        """Return crops by how far the score is from the label; those without either come last."""
        good = self._categories.good.name

        def distance(crop: Crop) -> float:
            row = rows.get(crop.id)
            if row is None or crop.judged is None or crop.judged.score is None:
                return -1.0
            return abs((row.category != good) - crop.judged.score)

        return sorted(crops, key=distance, reverse=True)

    def _check_labelled(self, labelled: str) -> None:
        if labelled not in LABELLED and labelled not in self._categories.names:
            raise UsageError(f"there is no class {labelled[:40]!r}")


def _gather(
    reader: PoolReader,
    wanted: PoolFilter,
    order: Order,
    rows: dict[int, DecisionRow],
    labelled: str,
    after: int | None,
    limit: int,
) -> list[Crop]:
    """Read pages until enough crops have the wanted label."""
    found: list[Crop] = []
    while len(found) < limit:
        page = reader.page(wanted, order=order, after=after, limit=max(limit, 500))
        found += [crop for crop in page if _fits(rows.get(crop.id), labelled)]
        if len(page) < max(limit, 500):
            break
        after = page[-1].id
    return found[:limit]


def _fits(row: DecisionRow | None, labelled: str) -> bool:
    if labelled in ("", "none", "any"):
        return labelled == "" or (row is None) == (labelled == "none")
    return row is not None and row.category == labelled


def _shown(crop: Crop, rows: dict[int, DecisionRow]) -> ShownCrop:
    judged, row = crop.judged, rows.get(crop.id)
    return ShownCrop(
        crop.id,
        crop.refdes,
        crop.package,
        crop.origin.board,
        crop.origin.unit,
        crop.origin.captured,
        crop.kept_because.value,
        judged.verdict if judged else "",
        judged.score if judged else None,
        judged.novelty if judged else None,
        row.category if row else "",
        row.who if row else "",
        (crop.box.x, crop.box.y, crop.box.width, crop.box.height),
    )
