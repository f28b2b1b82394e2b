"""Write a study's figures as Markdown for people and as JSON for programs."""

from typing import Any

import numpy as np

from sji_edge.evaluation.judged import FIGURES
from sji_edge.studies.compare import Compared
from sji_edge.studies.dataset import HeldOut
from sji_edge.studies.methods import LEARNING_RATE
from sji_edge.studies.settings import Budget, StudySettings

TITLES = {
    "accuracy": "accuracy",
    "f1_defect": "F1 (defect)",
    "macro_f1": "macro-F1",
    "average_precision": "AP",
    "auroc": "AUROC",
    "ece": "ECE",
    "ece_calibrated": "ECE after T",
    "aurc": "AURC × 1000",
    "false_calls_at_0_escape": "false calls, 0 % escape",
    "false_calls_at_1_escape": "false calls, 1 % escape",
}
DECISIONS = ("accuracy", "f1_defect", "macro_f1", "false_calls_at_0_escape", "false_calls_at_1_escape")
PROBABILITIES = ("average_precision", "auroc", "ece", "ece_calibrated", "aurc")
SIGNIFICANT = 0.05
UNKNOWN = (
    "Unknown given PASS: good test joints changed into what was never learned (moved, half missing, covered, a wire, a "
    "solder ball, a stain, a foreign object, noise, negative); the share given PASS, mean over kinds ± standard "
    "deviation over seeds, at each model's own limits, with its guard and by its score alone. –: no guard."
)
SHOWN_TIMES = {"aurc": 1000.0}


def markdown(compared: list[Compared], data: HeldOut, settings: StudySettings) -> str:
    """Return two tables for each backbone, with a caption on how they were measured."""
    parts = [f"# Study of {settings.data.name}", caption(compared, data, settings)]
    for backbone in dict.fromkeys(one.cell.backbone for one in compared):
        own = [one for one in compared if one.cell.backbone == backbone]
        weights = own[0].cell.trials[0].weights
        parts.append(f"## {backbone} (weights: {weights})")
        parts += [_table(own, columns) for columns in (DECISIONS, PROBABILITIES)]
        if any(unknown_passed(one) for one in own):
            parts.append(_unknown_table(own))
    return "\n\n".join(parts) + "\n"


def caption(compared: list[Compared], data: HeldOut, settings: StudySettings) -> str:
    """Return how the figures were measured, and how far they can be trusted."""
    defects = int((data.labels["test"] != data.good_index).sum())
    budget = settings.budget
    drawn = f"the {np.unique(data.groups).size} groups" if data.grouped else "the joints"
    seconds = sum(trial.seconds for one in compared for trial in one.cell.trials)
    paragraphs: tuple[str, ...] = (
        f"Test split: {data.labels['test'].size} joints, {defects} defective. {_trained(budget)}, on "
        f"{budget.image_size} × {budget.image_size} crops. Each method had {_count(settings.tries, 'try', 'tries')} on "
        f"validation for {_searched(settings)}; the one with the lowest cross-entropy after temperature scaling was "
        f"repeated with {_count(settings.seeds, 'seed')}. The trials shown took {seconds:.0f} s in total.",
        "A cell is the mean ± standard deviation over seeds [95 % bootstrap interval of the mean: "
        f"{settings.replicates} replicates, resampling {drawn} of the test split and the seeds]. **Bold**: the "
        "reference, the best on validation. †: differs from it at 5 % (paired bootstrap over the same replicates, "
        "two-sided, Holm-adjusted within a column).",
        "F1 (defect) is taken at the limit solved on validation; accuracy and macro-F1 at the most probable class; T "
        "is the temperature fitted on validation. False calls are those of the threshold on the test scores that lets "
        f"at most 0 or 1 % of the defects escape: of {defects} defects, 1 % allows {int(0.01 * defects)}.",
    )
    if settings.guard:
        paragraphs += (UNKNOWN,)
    return "\n\n".join(paragraphs)


def unknown_passed(one: Compared) -> list[tuple[float, float]]:
    """Return, for each guarded trial, the mean over kinds of unknown pictures of both shares given PASS."""
    shares = [list(trial.unknown.values()) for trial in one.cell.trials if trial.unknown]
    return [(float(alone), float(guarded)) for alone, guarded in (np.mean(kinds, axis=0) for kinds in shares)]


def _trained(budget: Budget) -> str:
    epochs = _count(budget.epochs, "epoch")
    if budget.trained_blocks is None:
        return f"Every trial trains the whole network for {epochs} and keeps the best on validation"
    blocks = "block" if budget.trained_blocks == 1 else f"{budget.trained_blocks} blocks"
    return (
        f"Every trial trains only the last {blocks} and the head, for {epochs}, on the activations of the frozen, "
        f"pretrained rest for {_count(budget.cached_views, 'random view')} of each joint; this is less than a full "
        "fine-tune, and the same for every method"
    )


def _searched(settings: StudySettings) -> str:
    if settings.search_learning_rate:
        return "its strength and learning rate (cross-entropy has the learning rate alone)"
    return "its strength (cross-entropy has none, and tried learning rates)"


def as_json(compared: list[Compared], data: HeldOut, settings: StudySettings) -> dict[str, Any]:
    """Return everything that the table shows, with every seed's value and every p-value."""
    return {
        "schema_version": 1,
        "caption": caption(compared, data, settings),
        "cells": [
            {
                "backbone": one.cell.backbone,
                "method": one.cell.method,
                "loss": one.cell.trials[0].spec.loss,
                "options": one.cell.trials[0].spec.options,
                LEARNING_RATE: one.cell.trials[0].spec.learning_rate,
                "is_reference": one.is_reference,
                "validation_cross_entropy_calibrated": one.validation,
                "temperatures": [way.temperature for way in one.judged],
                "limits": [way.limit for way in one.judged],
                "figures": {name: _figure(one, name) for name in FIGURES},
                "unknown_given_pass": [trial.unknown for trial in one.cell.trials],
            }
            for one in compared
        ],
    }


def _figure(one: Compared, name: str) -> dict[str, Any]:
    values, interval = one.values[name], one.intervals[name]
    return {
        "seeds": [None if np.isnan(value) else value for value in values],
        "mean": None if np.isnan(np.mean(values)) else float(np.mean(values)),
        "sd": _spread(values),
        "interval": list(interval) if interval else None,
        "p_against_reference": one.p_values[name],
    }


def _table(own: list[Compared], columns: tuple[str, ...]) -> str:
    head = ["method", "setting", *(TITLES[name] for name in columns)]
    lines = [head, ["---", "---", *("---:" for _ in columns)]]
    for one in own:
        mark = "**" if one.is_reference else ""
        cells = [_cell(one, name) for name in columns]
        lines.append([f"{mark}{one.cell.method}{mark}", setting(one), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _unknown_table(own: list[Compared]) -> str:
    lines = [["method", "unknown given PASS", "by the score alone"], ["---", "---:", "---:"]]
    for one in own:
        alone, guarded = np.array(unknown_passed(one) or [(np.nan, np.nan)]).T.tolist()
        lines.append([one.cell.method, _mean_and_spread(guarded), _mean_and_spread(alone)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _mean_and_spread(shares: list[float]) -> str:
    if np.isnan(shares).any():
        return "–"
    spread = _spread(shares)
    return f"{np.mean(shares):.3f}" + ("" if spread is None else f" ± {spread:.3f}")


def setting(one: Compared) -> str:
    """Return the chosen settings: a loss's options, or the learning rate where it was searched."""
    spec = one.cell.trials[0].spec
    said = [f"{name} {value:.3g}" for name, value in spec.options.items() if not isinstance(value, str)]
    if not said or spec.learning_rate != spec.budget.learning_rate:
        said.append(f"lr {spec.learning_rate:.2g}")
    return ", ".join(said)


def _cell(one: Compared, name: str) -> str:
    values, interval = np.array(one.values[name]), one.intervals[name]
    if np.isnan(values).any() or interval is None:
        return "–"
    times = SHOWN_TIMES.get(name, 1.0)
    mean, spread, low, high = values.mean(), _spread(one.values[name]), interval[0], interval[1]
    p = one.p_values[name]
    mark = " †" if p is not None and p < SIGNIFICANT else ""
    shown = f"{times * mean:.3f}" + ("" if spread is None else f" ± {times * spread:.3f}")
    return f"{shown} [{times * low:.3f}, {times * high:.3f}]{mark}"


def _spread(values: list[float]) -> float | None:
    """Return the standard deviation over seeds; None for one seed or where a figure is missing."""
    if len(values) < 2 or np.isnan(values).any():
        return None
    return float(np.std(values, ddof=1))


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
