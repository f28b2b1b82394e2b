"""Draws the plots of a report: scores, rates over the limit, reliability and stress."""

import io
from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sji_edge.evaluation.judged import Judged
from sji_edge.evaluation.report import Evaluation
from sji_edge.evaluation.stress import CLEAN, StressPoint
from sji_edge.metrics.calibration import reliability_bins

GOOD, DEFECT, LIMIT = "#2a7f62", "#b3352b", "#444444"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
DASHES = ("-", "--", ":", "-.")
"""Okabe and Ito's colours, which colour-blind readers can tell apart; more models get another line style."""

BINS = 10
DPI = 110


def png(figure: Figure) -> bytes:
    """Render a figure as a PNG file."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DPI)
    return data.getvalue()


def report_pictures(
    judged: Judged, evaluation: Evaluation, stress: Mapping[str, Sequence[StressPoint]]
) -> dict[str, bytes]:
    """Draw every plot of a report; heading to PNG file. Without stress points there is no stress plot."""
    figures = {
        "Scores": scores_plot(judged, evaluation),
        "Escapes and false calls over the limit": curve_plot(evaluation),
        "Reliability": reliability_plot(judged, evaluation.temperature is not None),
    }
    if stress:
        figures["Stress: fixed limits, worsening pictures"] = stress_plot(stress)
    return {heading: png(figure) for heading, figure in figures.items()}


def scores_plot(judged: Judged, evaluation: Evaluation) -> Figure:
    """Draw histograms of the scores of good and of defective joints, with the limits."""
    figure = Figure(figsize=(7.5, 2.6), layout="constrained")
    panel = figure.subplots()
    bins = np.linspace(0, 1, 51).tolist()
    panel.hist(judged.scores[~judged.is_defect], bins, color=GOOD, alpha=0.7, label="good")
    panel.hist(judged.scores[judged.is_defect], bins, color=DEFECT, alpha=0.7, label="defective")
    _limits(panel, evaluation)
    panel.set(yscale="log", xlabel="score = 1 − p(good)", ylabel="joints", ylim=(0.5, None))
    panel.legend(loc="upper center", fontsize=8)
    return figure


def curve_plot(evaluation: Evaluation) -> Figure:
    """Draw escapes and false calls against the limit on the score."""
    figure = Figure(figsize=(7.5, 2.8), layout="constrained")
    panel = figure.subplots()
    for rate, label, colour in (
        ("escape_rate", "defects below the limit", DEFECT),
        ("false_call_rate", "good joints at or above the limit", GOOD),
    ):
        points = [(one.limit, getattr(one, rate)) for one in evaluation.curve]
        known = [(limit, 100 * value) for limit, value in points if value is not None]
        if known:
            # A rate at one score holds for every limit down to the next lower score.
            panel.step(*zip(*known, strict=True), where="pre", color=colour, label=label)
    _limits(panel, evaluation)
    panel.set(xlabel="limit on the score", ylabel="%", xlim=(0, 1))
    panel.set_yscale("symlog", linthresh=1.0)
    panel.set_ylim(-0.05, 110)
    panel.set_yticks([0, 1, 2, 5, 10, 20, 50, 100], ["0", "1", "2", "5", "10", "20", "50", "100"])
    panel.legend(loc="upper center", fontsize=8)
    return figure


def reliability_plot(judged: Judged, calibrated: bool) -> Figure:
    """Draw the share of correct answers over the confidence, before and after temperature scaling."""
    figure = Figure(figsize=(3.4, 3.2), layout="constrained")
    panel = figure.subplots()
    panel.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
    kinds = [("as trained", judged.confidence, DEFECT)]
    if calibrated:
        kinds.append(("after T", judged.calibrated, GOOD))
    for label, confidence, colour in kinds:
        bins = reliability_bins(confidence, judged.correct, BINS)
        filled = bins.joints > 0
        area = 6 + 80 * bins.joints[filled] / judged.labels.size
        panel.plot(bins.confidence[filled], bins.accuracy[filled], color=colour, linewidth=1)
        panel.scatter(bins.confidence[filled], bins.accuracy[filled], s=area, color=colour, label=label)
    lowest = 1.0 / max(2, int(judged.labels.max(initial=1)) + 1)
    panel.set(xlabel="confidence (area: joints)", ylabel="share right", xlim=(lowest - 0.05, 1.02))
    panel.set_ylim(-0.03, 1.03)
    panel.legend(loc="lower right", fontsize=8)
    return figure


def stress_plot(runs: Mapping[str, Sequence[StressPoint]]) -> Figure:
    """Draw F1, false calls, escapes and map similarity over the strength, one column per disturbance.

    Args:
        runs: name of each model to its points; the first point is the clean one. Every model is drawn, each with
            its own colour and line style.
    """
    first = next(iter(runs.values()))
    pairs_of_style = list(product(DASHES, COLOURS))
    styles = [pairs_of_style[place % len(pairs_of_style)] for place in range(len(runs))]
    kinds = list(dict.fromkeys(point.kind for point in first if point.kind != CLEAN))
    rows = [("f1", "F1 (defect)"), ("false_calls", "false calls"), ("escapes", "escapes")]
    if any(point.map_pearson is not None for points in runs.values() for point in points):
        rows.append(("map_pearson", "map similarity (Pearson)"))
    figure = Figure(figsize=(1.9 * len(kinds) + 0.8, 1.6 * len(rows) + 0.6), layout="constrained")
    panels = figure.subplots(len(rows), len(kinds), squeeze=False, sharey="row")
    for row, (field, label) in zip(panels, rows, strict=True):
        row[0].set_ylabel(label, fontsize=8)
        for panel, kind in zip(row, kinds, strict=True):
            for (dash, colour), (name, points) in zip(styles, runs.items(), strict=True):
                ordered = [point for point in points if point.kind in (CLEAN, kind)]
                pairs = [
                    (one.strength, value) for one in ordered if (value := getattr(one, field)) is not None
                ]
                if pairs:
                    panel.plot(
                        *zip(*pairs, strict=True), color=colour, linestyle=dash, marker=".", label=name
                    )
            panel.tick_params(labelsize=7)
            panel.grid(color="#eeeeee")
    for panel, kind in zip(panels[0], kinds, strict=True):
        panel.set_title(kind, fontsize=9)
    for panel, kind in zip(panels[-1], kinds, strict=True):
        panel.set_xlabel(next(point.unit for point in first if point.kind == kind), fontsize=8)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=7, loc="outside lower left")
    return figure


def _limits(panel: Axes, evaluation: Evaluation) -> None:
    limits = evaluation.thresholds
    panel.axvline(limits.lower, color=LIMIT, linestyle="--", label=f"PASS below {limits.lower:.3f}")
    panel.axvline(limits.upper, color=LIMIT, label=f"FAIL from {limits.upper:.3f}")
