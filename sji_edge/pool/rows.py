"""The rows of a pool as typed values."""

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.protocols import JointRecord
from sji_edge.core.verdict import Verdict, logit
from sji_edge.pool.schema import KeptBecause


@dataclass(frozen=True, slots=True)
class Box:
    """A joint's box within its crop, in pixels: left and top edge, width and height."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a crop comes from.

    Attributes:
        board: name of the recipe, that is, of the product.
        unit: the single board that the frame shows.
        source: the stream, without anything that may be a secret.
        frame_index: number of the frame in the stream.
        frame_name: the frame's name, such as a file name.
        frame_sha256: hash of the frame's pixels.
        captured: UTC time in ISO 8601 at which the frame was taken; of a stored image, at which it was read.
        recipe_sha256: the recipe's hash.
    """

    board: str
    unit: str
    source: str
    frame_index: int
    frame_name: str
    frame_sha256: str
    captured: str
    recipe_sha256: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What an engine said of a crop.

    Attributes:
        engine_sha256: hash of the engine.
        verdict: PASS, REVIEW, FAIL or ERROR.
        score: 1 − p(good); None if the verdict is ERROR.
        lower: the joint's PASS limit.
        upper: the joint's FAIL limit.
        label: the class that the joint looks like.
        cause: why the verdict is not what the score says.
        novelty: how unlike the training data the joint is; None without a guard.
        novelty_limit: the guard's limit.
        deviation: how unlike its own place; None without enrolled boards.
        doubt: distance of the score from the nearest threshold in logits; None without a score.
        features: float32, the engine's description of the joint as bytes; None if it gives none.
    """

    engine_sha256: str
    verdict: str
    score: float | None
    lower: float
    upper: float
    label: str = ""
    cause: str = ""
    novelty: float | None = None
    novelty_limit: float | None = None
    deviation: float | None = None
    doubt: float | None = None
    features: bytes | None = None

    @classmethod
    def of(
        cls, joint: JointRecord, engine_sha256: str, features: NDArray[np.float32] | None = None
    ) -> "Judged":
        """Make a judgement from a joint's record."""
        return cls(
            engine_sha256=engine_sha256,
            verdict=joint.verdict.value,
            score=joint.score,
            lower=joint.lower,
            upper=joint.upper,
            label=joint.label,
            cause=joint.cause,
            novelty=joint.novelty,
            novelty_limit=joint.novelty_limit,
            deviation=joint.deviation,
            doubt=doubt_of(joint),
            features=None if features is None else np.asarray(features, "<f4").tobytes(),
        )


@dataclass(frozen=True, slots=True)
class NewCrop:
    """A crop to be added.

    Attributes:
        refdes: the joint.
        package: its package.
        png: the encoded picture.
        box: the joint's box in it.
        margin: how much of the box's size was kept on each side of it, where the frame reaches so far.
        kept_because: why it is kept.
        likeness: perceptual hash of what the box shows, see ``data.duplicates``.
        judged: what engines said of it.
    """

    refdes: str
    package: str
    png: bytes
    box: Box
    margin: float
    kept_because: KeptBecause
    likeness: bytes
    judged: tuple[Judged, ...] = ()


@dataclass(frozen=True, slots=True)
class Crop:
    """A crop of a pool.

    Attributes:
        id: its number in the pool.
        file: path of the picture below the pool's folder.
        sha256: hash of that file.
        size: of that file, in bytes.
        refdes: the joint.
        package: its package.
        origin: where it comes from.
        box: the joint's box within the picture.
        margin: see ``NewCrop``.
        kept_because: why it is in the pool.
        likeness: perceptual hash of what the box shows.
        judged: what one engine said of it; None if that engine did not look.
    """

    id: int
    file: str
    sha256: str
    size: int
    refdes: str
    package: str
    origin: Origin
    box: Box
    margin: float
    kept_because: KeptBecause
    likeness: bytes
    judged: Judged | None = None


CROP_COLUMNS = (
    *("id", "file", "sha256", "bytes", "refdes", "package"),
    *(field.name for field in fields(Origin)),
    *(field.name for field in fields(Box)),
    *("margin", "kept_because", "likeness"),
)
JUDGED_COLUMNS = tuple(field.name for field in fields(Judged))


def crop_of(row: tuple[Any, ...]) -> Crop:
    """Make a crop from a row of ``CROP_COLUMNS`` and ``JUDGED_COLUMNS``."""
    own, judged = row[: len(CROP_COLUMNS)], row[len(CROP_COLUMNS) :]
    number, file, sha256, size, refdes, package = own[:6]
    margin, kept_because, likeness = own[18:]
    return Crop(
        number,
        file,
        sha256,
        size,
        refdes,
        package,
        Origin(*own[6:14]),
        Box(*own[14:18]),
        margin,
        KeptBecause(kept_because),
        likeness,
        None if judged[0] is None else Judged(*judged),
    )


def doubt_of(joint: JointRecord) -> float | None:
    """Return the distance of a joint's score from the nearest threshold in logits; None without a score."""
    if joint.verdict is Verdict.ERROR or joint.score is None or not math.isfinite(joint.score):
        return None
    place = float(logit(joint.score))
    return min(abs(place - float(logit(limit))) for limit in (joint.lower, joint.upper))
