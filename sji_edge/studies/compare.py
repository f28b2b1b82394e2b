"""Compare methods: mean and spread over seeds, bootstrap intervals and a paired test."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.verdict import defect_scores
from sji_edge.evaluation.judged import FIGURES, Judged, judge
from sji_edge.metrics.bootstrap import paired_p_value, percentile_interval, resamples
from sji_edge.metrics.calibration import calibrated_cross_entropy, fit_temperature
from sji_edge.metrics.multiple_testing import holm
from sji_edge.metrics.thresholds import best_f1_limit
from sji_edge.studies.dataset import HeldOut
from sji_edge.studies.run import Cell
from sji_edge.studies.trials import StudyTrial

BOOTSTRAP_SEED = 0
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Compared:
    """One method on one backbone.

    Attributes:
        values: each figure of each seed, NaN where it is undefined.
        intervals: 95 % interval of each figure's mean over seeds; joints (or groups) and seeds are resampled.
        p_values: each figure against the backbone's reference, adjusted by Holm; None for the reference itself.
        validation: mean over seeds of the calibrated cross-entropy on validation, in nats.
        is_reference: whether ``validation`` is the lowest on its backbone.
    """

    cell: Cell
    judged: tuple[Judged, ...]
    values: dict[str, list[float]]
    intervals: dict[str, tuple[float, float] | None]
    p_values: dict[str, float | None]
    validation: float
    is_reference: bool


def judge_trial(trial: StudyTrial, data: HeldOut) -> Judged:
    """Judge the test joints with the temperature and the limit fitted on validation."""
    validation = trial.logits_of("validation")
    labels = data.labels["validation"]
    known = defect_scores(validation.astype(np.float32), data.good_index)
    return judge(
        trial.logits_of("test"),
        data.labels["test"],
        data.good_index,
        limit=best_f1_limit(known, labels != data.good_index),
        temperature=fit_temperature(validation, labels),
    )


def compare(
    cells: list[Cell], data: HeldOut, replicates: int, each: Callable[..., Any] = map
) -> list[Compared]:
    """Measure every cell, and test it against the best method of its backbone.

    The best method is chosen by calibrated cross-entropy on validation; choosing it on the test split would favour
    a lucky one.

    Args:
        cells: all cells of one study.
        data: labels and groups of the held-out splits.
        replicates: number of bootstrap resamples; all cells see the same ones.
        each: ``map``, or a version of it over processes that keeps the order.
    """
    judged = [tuple(judge_trial(trial, data) for trial in cell.trials) for cell in cells]
    tasks = [(ways, data.groups, replicates) for ways in judged]
    drawn: list[dict[str, Floats]] = list(each(_bootstrap, tasks))
    validation = [
        float(
            np.mean(
                [
                    calibrated_cross_entropy(trial.logits_of("validation"), data.labels["validation"])
                    for trial in cell.trials
                ]
            )
        )
        for cell in cells
    ]
    adjusted = _p_values(cells, validation, drawn)
    return [
        Compared(
            cell=cell,
            judged=ways,
            values={name: [_or_nan(figure(way)) for way in ways] for name, figure in FIGURES.items()},
            intervals={name: percentile_interval(values) for name, values in boot.items()},
            p_values=p,
            validation=loss,
            is_reference=all(value is None for value in p.values()),
        )
        for cell, ways, boot, p, loss in zip(cells, judged, drawn, adjusted, validation, strict=True)
    ]


def _bootstrap(task: tuple[tuple[Judged, ...], NDArray[np.str_], int]) -> dict[str, Floats]:
    """Return each figure's mean over resampled seeds on resampled joints, one value per replicate."""
    ways, groups, replicates = task
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    drawn = {name: np.empty(replicates) for name in FIGURES}
    for number, joints in enumerate(resamples(groups, replicates, rng)):
        parts = [way.only(joints) for way in ways]
        seeds = rng.integers(len(ways), size=len(ways))
        for name, figure in FIGURES.items():
            values = np.array([_or_nan(figure(part)) for part in parts])
            drawn[name][number] = values[seeds].mean()
    return drawn


def _p_values(
    cells: list[Cell], validation: list[float], drawn: list[dict[str, Floats]]
) -> list[dict[str, float | None]]:
    answers: list[dict[str, float | None]] = [dict.fromkeys(FIGURES) for _ in cells]
    for backbone in dict.fromkeys(cell.backbone for cell in cells):
        own = [index for index, cell in enumerate(cells) if cell.backbone == backbone]
        reference = min(own, key=lambda index: validation[index])
        rivals = [index for index in own if index != reference]
        for name in FIGURES:
            raw = [paired_p_value(drawn[index][name], drawn[reference][name]) for index in rivals]
            known = [(index, p) for index, p in zip(rivals, raw, strict=True) if p is not None]
            for (index, _), p in zip(known, holm([p for _, p in known]), strict=True):
                answers[index][name] = p
    return answers


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value
