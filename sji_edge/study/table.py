"""The study's figures as Markdown for people and JSON for programs."""

from typing import Any

import numpy as np

from sji_edge.study.compare import FIGURES, Compared
from sji_edge.study.material import HeldOut
from sji_edge.study.methods import LEARNING_RATE
from sji_edge.study.settings import StudySettings

TITLES = {
    "accuracy": "accuracy",
    "f1_defect": "F1 (defect)",
    "macro_f1": "macro-F1",
    "average_precision": "AP",
    "auroc": "AUROC",
    "ece": "ECE",
    "ece_calibrated": "ECE after T",
    "aurc": "AURC",
    "false_calls_at_0_escape": "false calls, 0 % escape",
    "false_calls_at_1_escape": "false calls, 1 % escape",
}
DECISIONS = ("accuracy", "f1_defect", "macro_f1", "false_calls_at_0_escape", "false_calls_at_1_escape")
PROBABILITIES = ("average_precision", "auroc", "ece", "ece_calibrated", "aurc")
SIGNIFICANT = 0.05


def markdown(compared: list[Compared], data: HeldOut, settings: StudySettings) -> str:
    """Two tables for each backbone, and above them how they came about."""
    parts = [f"# Study of {settings.data.name}", caption(compared, data, settings)]
    for backbone in dict.fromkeys(one.cell.backbone for one in compared):
        own = [one for one in compared if one.cell.backbone == backbone]
        weights = own[0].cell.trials[0].weights
        parts.append(f"## {backbone} (weights: {weights})")
        parts += [_table(own, columns) for columns in (DECISIONS, PROBABILITIES)]
    return "\n\n".join(parts) + "\n"


def caption(compared: list[Compared], data: HeldOut, settings: StudySettings) -> str:
    """How the figures came about, and what they can bear."""
    defects = int((data.labels["test"] != data.good_index).sum())
    joints, budget = data.labels["test"].size, settings.budget
    if budget.trained_blocks is None:
        trained = f"the whole network for {budget.epochs} epochs, the best one on validation kept"
    else:
        trained = (
            f"only the last {_count(budget.trained_blocks, 'block')} and the head for {budget.epochs} epochs, on "
            f"activations of the frozen rest for {budget.cached_views} random views of each joint; "
            "that is less than a full fine-tune, and the same for every method"
        )
    drawn = f"the {np.unique(data.groups).size} groups" if data.grouped else "the joints"
    seconds = sum(trial.seconds for one in compared for trial in one.cell.trials)
    return (
        f"Test split: {joints} joints, {defects} defective. Every trial trains {trained}, on "
        f"{budget.image_size} × {budget.image_size} crops. Each method had {_count(settings.tries, 'try', 'tries')} on "
        "validation for its strength (cross-entropy has none, and searched the learning rate), chosen by cross-entropy "
        f"after temperature scaling, and then {_count(settings.seeds, 'seed')}.\n\n"
        "A cell is the mean ± standard deviation over seeds [95 % bootstrap interval of the mean, "
        f"resampling {drawn} of the test split and the seeds, {settings.replicates} replicates]. **Bold**: the "
        "reference, best on validation. †: differs from it at 5 % (paired bootstrap on the same replicates, "
        "two-sided, Holm-adjusted within a column). F1 (defect) is taken at the limit solved on "
        "validation, accuracy and macro-F1 at the most probable class; the temperature T is fitted on validation. False calls are those of the single "
        f"threshold on the test scores that lets at most 0 or 1 % of the defects escape: with {defects} defects, 1 % "
        f"allows {int(0.01 * defects)}. The trials shown took {seconds:.0f} s in all."
    )


def as_json(compared: list[Compared], data: HeldOut, settings: StudySettings) -> dict[str, Any]:
    """Everything that the table shows, and every seed's value and every p value."""
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


def setting(one: Compared) -> str:
    """The settings chosen: a loss's options, or the learning rate where it was searched."""
    spec = one.cell.trials[0].spec
    said = [f"{name} {value:.3g}" for name, value in spec.options.items() if not isinstance(value, str)]
    if not said or spec.learning_rate != spec.budget.learning_rate:
        said.append(f"lr {spec.learning_rate:.2g}")
    return ", ".join(said)


def _cell(one: Compared, name: str) -> str:
    mean, spread, interval = np.mean(one.values[name]), _spread(one.values[name]), one.intervals[name]
    if np.isnan(mean) or interval is None:
        return "–"
    p = one.p_values[name]
    mark = " †" if p is not None and p < SIGNIFICANT else ""
    shown = f"{mean:.3f}" + ("" if spread is None else f" ± {spread:.3f}")
    return f"{shown} [{interval[0]:.3f}, {interval[1]:.3f}]{mark}"


def _spread(values: list[float]) -> float | None:
    """Standard deviation over seeds; None for one seed or where a figure is missing."""
    if len(values) < 2 or np.isnan(values).any():
        return None
    return float(np.std(values, ddof=1))


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
