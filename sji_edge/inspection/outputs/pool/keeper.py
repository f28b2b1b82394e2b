"""Keeps the joints of a run in a pool."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import OutputError
from sji_edge.core.preprocess import Image
from sji_edge.core.protocols import BoardRecord, Frame, JointRecord
from sji_edge.core.verdict import Verdict
from sji_edge.data.duplicates import NEAR_BITS, difference_hash
from sji_edge.inspection.judging.frame_job import Judgement
from sji_edge.inspection.outputs.pool.keep_rules import KeepRules
from sji_edge.inspection.outputs.pool.known_places import KnownPlaces
from sji_edge.inspection.outputs.pool.units import unit_of
from sji_edge.pool.cutting import box_of, cut_joint
from sji_edge.pool.rows import Judged, NewCrop, Origin
from sji_edge.pool.schema import KeptBecause
from sji_edge.pool.write import PoolWriter

MARGIN = 0.5
"""Half a box on each side: what reaches out of a box is in the picture."""


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How joints are kept.

    Attributes:
        rules: which joints.
        margin: how much of its width and height is kept on each side of a box.
        quota: size limit of all pictures of the pool, in bytes; None for no limit.
        near_bits: a joint is a near duplicate of one of the same place if their hashes differ in at most this many of
            256 bits and the engine gave both the same verdict; -1 drops nothing.
    """

    rules: KeepRules
    margin: float = MARGIN
    quota: int | None = None
    near_bits: int = NEAR_BITS


@dataclass(frozen=True, slots=True)
class Product:
    """What the pool is told of the board: its name, its recipe's hash, the package of each joint, and the source."""

    board: str
    recipe_sha256: str
    packages: Mapping[str, str]
    source: str


@dataclass(slots=True)
class KeepCounts:
    """What became of the joints that a run saw.

    Attributes:
        kept: new crops, by reason.
        there: joints of frames that the pool had already.
        duplicates: near duplicates that were dropped.
        not_chosen: joints that no rule selects.
        not_seen: joints that are hidden or outside the frame, or of boards that are ERROR.
        over_quota: joints that would have been kept, but for the quota.
    """

    kept: Counter[KeptBecause] = field(default_factory=Counter)
    there: int = 0
    duplicates: int = 0
    not_chosen: int = 0
    not_seen: int = 0
    over_quota: int = 0


class PoolKeeper:
    """Adds joints of judged frames to a pool; call ``keep`` after each board, from one thread.

    Args:
        pool: to add to; the caller closes it.
        product: what the frames show.
        spec: the crop that the placements' maps belong to.
        settings: which joints are kept, and how.
        stored: the frames are files.
        recorded: whether the boards are on record, so that a crop can be found by its board's name.
    """

    def __init__(
        self,
        pool: PoolWriter,
        product: Product,
        spec: PreprocessSpec,
        settings: PoolSettings,
        *,
        stored: bool,
        recorded: bool = False,
    ) -> None:
        self._pool = pool
        self._product = product
        self._spec = spec
        self._stored = stored
        self._settings = settings
        self._recorded = recorded
        self._known = KnownPlaces(pool, product.board, settings.near_bits)
        self._size = pool.size
        self.counts = KeepCounts()

    @property
    def full(self) -> bool:
        """Whether the quota left no room for a joint."""
        return self.counts.over_quota > 0

    def keep(self, frame: Frame, judgement: Judgement) -> None:
        """Keep what the rules select of a board.

        Raises:
            OutputError: the pool cannot be written; nothing of the board is in it.
        """
        record, rules = judgement.record, self._settings.rules
        if frame.pixels is None or judgement.placement is None:
            self.counts.not_seen += len(record.joints)
            return
        # Hashing a frame takes milliseconds; few frames of a line have a joint to keep.
        frame_sha256 = "" if rules.random is None else frame_hash(frame.pixels)
        reasons = [self._reason(joint, frame.index, frame_sha256) for joint in record.joints]
        chosen = [(place, reason) for place, reason in enumerate(reasons) if reason is not None]
        if chosen:
            self._keep(frame, frame.pixels, judgement, chosen)

    def keep_disagreements(self, frame: Frame, judgement: Judgement, other: Judgement) -> None:
        """Keep the joints that exactly one of two engines calls, with what both said; same errors as ``keep``.

        Args:
            frame: which both judged.
            judgement: of the deployed engine.
            other: of another engine, with the same recipe.
        """
        if frame.pixels is None or judgement.placement is None or other.placement is None:
            return
        chosen = [
            (place, KeptBecause.DISAGREEMENT) for place in disagreements(judgement.record, other.record)
        ]
        if chosen:
            self._keep(frame, frame.pixels, judgement, chosen, other)

    def _keep(
        self,
        frame: Frame,
        pixels: Image,
        judgement: Judgement,
        chosen: Sequence[tuple[int, KeptBecause]],
        other: Judgement | None = None,
    ) -> None:
        origin = self._origin(pixels, frame, judgement.record)
        there = self._pool.has(origin.frame_sha256, origin.recipe_sha256)
        found: list[NewCrop] = []
        for place, reason in chosen:
            judged = [_judged(one, place) for one in (judgement, other) if one is not None]
            crop = self._cut(
                pixels, judgement, place, reason, tuple(one for one in judged if one is not None)
            )
            if crop.refdes in there:
                # The picture in the pool stays; the judgements and this record are added.
                self.counts.there += 1
            elif not self._must_stay(judgement, place, reason) and self._known.has_like(crop):
                self.counts.duplicates += 1
                continue
            found.append(crop)
        self._add(origin, found, judgement.record.board if self._recorded else "", there)

    def _add(self, origin: Origin, crops: list[NewCrop], record: str, there: Mapping[str, int]) -> None:
        quota = self._settings.quota
        room = []
        for crop in crops:
            size = 0 if crop.refdes in there else len(crop.png)
            if quota is not None and size and self._size + size > quota:
                self.counts.over_quota += 1
                continue
            self._size += size
            room.append(crop)
        if room:
            self._pool.add(origin, room, record=record)
        for crop in room:
            if crop.refdes not in there:
                self.counts.kept[crop.kept_because] += 1
                self._known.remember(crop)

    def _reason(self, joint: JointRecord, frame_index: int, frame_sha256: str) -> KeptBecause | None:
        if joint.verdict is Verdict.ERROR:
            self.counts.not_seen += 1
            return None
        reason = self._settings.rules.reason(joint, frame_index, frame_sha256)
        if reason is None:
            self.counts.not_chosen += 1
        return reason

    def _origin(self, pixels: Image, frame: Frame, record: BoardRecord) -> Origin:
        product = self._product
        return Origin(
            board=product.board,
            unit=unit_of(frame, record, stored=self._stored),
            source=product.source,
            frame_index=frame.index,
            frame_name=frame.name,
            frame_sha256=frame_hash(pixels),
            captured=record.utc,
            recipe_sha256=product.recipe_sha256,
        )

    def _cut(
        self,
        pixels: Image,
        judgement: Judgement,
        place: int,
        reason: KeptBecause,
        judged: tuple[Judged, ...],
    ) -> NewCrop:
        if judgement.placement is None:
            raise ValueError("a board that was not aligned has no crops")
        refdes = judgement.record.joints[place].refdes
        cut = cut_joint(pixels, judgement.placement.maps[place], self._spec, self._settings.margin)
        return NewCrop(
            refdes=refdes,
            package=self._product.packages.get(refdes, ""),
            png=_png(cut.pixels),
            box=cut.box,
            margin=self._settings.margin,
            kept_because=reason,
            likeness=difference_hash(box_of(cut.pixels, cut.box)).tobytes(),
            judged=judged,
        )

    def _must_stay(self, judgement: Judgement, place: int, reason: KeptBecause) -> bool:
        """Tell whether a joint is kept even where the pool has a near duplicate: a person has to answer it."""
        return reason is KeptBecause.DISAGREEMENT or self._settings.rules.calls(
            judgement.record.joints[place]
        )


def frame_hash(pixels: Image) -> str:
    """Return the hex SHA-256 of a frame's size and pixels."""
    digest = hashlib.sha256(str(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def disagreements(record: BoardRecord, other: BoardRecord) -> list[int]:
    """Return the places of the joints that exactly one of two records calls; a joint that is ERROR says nothing."""
    pairs = zip(record.joints, other.joints, strict=True)
    return [
        place
        for place, (one, two) in enumerate(pairs)
        if Verdict.ERROR not in (one.verdict, two.verdict)
        and (one.verdict is Verdict.PASS) != (two.verdict is Verdict.PASS)
    ]


def _judged(judgement: Judgement, place: int) -> Judged | None:
    """Return what the engine said of a joint; None where no engine looked."""
    record, placement = judgement.record, judgement.placement
    if not record.engine_sha256:
        return None
    features = None
    if judgement.features is not None and placement is not None:
        features = judgement.features[int(placement.inside[:place].sum())]
    return Judged.of(record.joints[place], record.engine_sha256, features)


def _png(pixels: Image) -> bytes:
    done, encoded = cv2.imencode(".png", pixels)
    if not done:
        raise OutputError(f"cannot encode a crop of {pixels.shape} as PNG")
    return bytes(encoded.tobytes())
