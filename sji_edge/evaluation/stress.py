"""Measures how verdicts and activation maps change as pictures get worse, at fixed thresholds."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.preprocess import Image
from sji_edge.core.protocols import EngineOutput
from sji_edge.core.verdict import Thresholds, defect_scores
from sji_edge.data.folder import crops_of
from sji_edge.evaluation.perturbations import PERTURBATIONS, perturbed
from sji_edge.evaluation.report import verdicts
from sji_edge.evaluation.similarity import pearson, top_iou
from sji_edge.metrics.rates import defect_rates

CLEAN = "clean"

Predict = Callable[[NDArray[np.uint8]], EngineOutput]
Look = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class StressPoint(FrozenModel):
    """One disturbance at one strength.

    Attributes:
        kind: name of the disturbance, or ``CLEAN``.
        unit: unit of ``strength``.
        strength: how strong it is.
        f1: F1 of the defect class; None without defects.
        escapes: defects given PASS.
        false_calls: good joints given FAIL.
        reviews: joints given REVIEW.
        errors: joints given ERROR.
        map_pearson: mean correlation with the activation maps of the clean crops; None without maps.
        map_iou: mean overlap with the activation maps of the clean crops; None without maps.
    """

    kind: str
    unit: str
    strength: float
    f1: float | None
    escapes: int
    false_calls: int
    reviews: int
    errors: int
    map_pearson: float | None = None
    map_iou: float | None = None


def stress_points(
    images: Sequence[Image],
    is_defect: NDArray[np.bool_],
    spec: PreprocessSpec,
    predict: Predict,
    *,
    good_index: int,
    thresholds: Thresholds,
    look: Look | None = None,
    seed: int = 0,
    step: Callable[[str], None] = lambda _what: None,
) -> Iterator[StressPoint]:
    """Judge every disturbed version of the joints, and yield one point each; the first is the clean one.

    Args:
        images: one joint each, as stored.
        is_defect: whether each joint really is defective, bool ``(n,)``.
        spec: size and channels of the model's crop.
        predict: judges crops.
        good_index: column of the good class.
        thresholds: PASS and FAIL limits; the same for all disturbances.
        look: turns crops into activation maps, which are compared with those of the clean crops; None skips that.
        seed: of the disturbances; the same seed shows every model the same pictures.
        step: called with the next disturbance.
    """
    clean = crops_of(images, spec)
    maps = None if look is None else look(clean)

    def point(kind: str, unit: str, strength: float, crops: NDArray[np.uint8]) -> StressPoint:
        output = predict(crops)
        codes = verdicts(defect_scores(output.logits, good_index), thresholds, output.novelty)
        rates = defect_rates(codes, is_defect)
        likeness = (None, None) if look is None or maps is None else _likeness(maps, look(crops))
        return StressPoint(
            kind=kind,
            unit=unit,
            strength=strength,
            f1=rates.f1 if rates.defects else None,
            escapes=rates.escapes,
            false_calls=rates.false_calls,
            reviews=rates.reviews,
            errors=rates.errors,
            map_pearson=likeness[0],
            map_iou=likeness[1],
        )

    yield point(CLEAN, "", 0.0, clean)
    for number, kind in enumerate(PERTURBATIONS):
        for strength in kind.strengths:
            step(f"{kind.name} {strength:g} {kind.unit}")
            yield point(
                kind.name, kind.unit, strength, perturbed(images, spec, kind, strength, seed + number)
            )


def _likeness(
    clean: NDArray[np.float32], disturbed: NDArray[np.float32]
) -> tuple[float | None, float | None]:
    pairs = list(zip(clean, disturbed, strict=True))
    correlations = [value for one, other in pairs if (value := pearson(one, other)) is not None]
    overlaps = [value for one, other in pairs if (value := top_iou(one, other)) is not None]
    return (
        float(np.mean(correlations)) if correlations else None,
        float(np.mean(overlaps)) if overlaps else None,
    )
