"""Plot a study: reliability, risk against coverage, false calls against escapes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sji_edge.metrics.calibration import reliability_bins
from sji_edge.metrics.ranking import false_call_rate_at_escape
from sji_edge.metrics.selective import risk_coverage
from sji_edge.studies.compare import Compared

COLOURS = ("#000000", "#e69f00", "#56b4e9", "#009e73", "#d55e00", "#0072b2", "#cc79a7", "#999933")
"""Distinguishable with colour-blindness, too (Okabe and Ito 2008)."""
STYLES = ("-", "--", ":")
BEFORE, AFTER = "#b3352b", "#2a7f62"
BINS = 10
PICTURES = ("reliability.png", "risk-coverage.png", "false-calls.png")


def draw(compared: list[Compared], folder: Path) -> None:
    """Write the three pictures."""
    for name, picture in zip(PICTURES, (_reliability, _risks, _false_calls), strict=True):
        picture(compared).savefig(folder / name, dpi=110)


def _reliability(compared: list[Compared]) -> Figure:
    """Plot accuracy against confidence for all seeds together, before and after temperature scaling."""
    backbones = _backbones(compared)
    methods = list(dict.fromkeys(one.cell.method for one in compared))
    size = (1.75 * len(methods) + 0.6, 2.0 * len(backbones) + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(backbones), len(methods), squeeze=False, sharex=True, sharey=True)
    for one in compared:
        panel = panels[backbones.index(one.cell.backbone), methods.index(one.cell.method)]
        panel.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
        correct = np.concatenate([way.correct for way in one.judged])
        for kind, label, colour in (("confidence", "as trained", BEFORE), ("calibrated", "after T", AFTER)):
            bins = reliability_bins(np.concatenate([getattr(way, kind) for way in one.judged]), correct, BINS)
            filled = bins.joints > 0
            area = 4 + 60 * bins.joints[filled] / correct.size
            panel.plot(bins.confidence[filled], bins.accuracy[filled], color=colour, linewidth=1)
            panel.scatter(bins.confidence[filled], bins.accuracy[filled], s=area, color=colour, label=label)
        panel.set(xlim=(0.45, 1.02), ylim=(-0.05, 1.05))
        panel.set_title(one.cell.method, fontsize=8)
    for row, backbone in zip(panels, backbones, strict=True):
        row[0].set_ylabel(f"{backbone}\nshare correct", fontsize=8)
    panels[0, 0].legend(fontsize=6, loc="lower left")
    figure.supxlabel("confidence in the chosen class (area: number of joints)", fontsize=9)
    return figure


def _risks(compared: list[Compared]) -> Figure:
    figure, panels = _one_panel_a_backbone(compared)

    def curve(panel: Axes, one: Compared, style: dict[str, Any]) -> None:
        risks = np.mean([risk_coverage(way.confidence, way.correct) for way in one.judged], axis=0)
        panel.plot(np.arange(1, risks.size + 1) / risks.size, 100 * risks, **style)

    _curves(compared, panels, curve)
    # Below the first error of any method the curves are all 0.
    spotless = [
        np.argmax(risk_coverage(way.confidence, way.correct) > 0) for one in compared for way in one.judged
    ]
    left = max(0.0, min(spotless) / compared[0].judged[0].labels.size - 0.05)
    for panel in panels.values():
        panel.set(
            xlabel="coverage: share of joints answered, most confident first", ylabel="wrong among them, %"
        )
        panel.set(xlim=(left, 1), ylim=(0, None))
    return figure


def _false_calls(compared: list[Compared]) -> Figure:
    figure, panels = _one_panel_a_backbone(compared)

    def curve(panel: Axes, one: Compared, style: dict[str, Any]) -> None:
        defects = int(one.judged[0].is_defect.sum())
        allowed = np.arange(defects) / defects
        rates = [
            [false_call_rate_at_escape(way.scores, way.is_defect, escape) or 0.0 for escape in allowed]
            for way in one.judged
        ]
        panel.plot(100 * allowed, 100 * np.mean(rates, axis=0), drawstyle="steps-post", **style)

    _curves(compared, panels, curve)
    for panel in panels.values():
        panel.set(xlabel="defects that escape, %", ylabel="false calls among good joints, %")
        panel.set_xlim(0, 30)
        panel.set_yscale("symlog", linthresh=0.5)
        panel.set_ylim(0, 100)
        panel.set_yticks(
            [0, 0.5, 1, 2, 5, 10, 20, 50, 100], ["0", "0.5", "1", "2", "5", "10", "20", "50", "100"]
        )
    return figure


def _one_panel_a_backbone(compared: list[Compared]) -> tuple[Figure, dict[str, Axes]]:
    backbones = _backbones(compared)
    figure = Figure(figsize=(4.6 * len(backbones) + 1.6, 3.6), layout="constrained")
    axes = figure.subplots(1, len(backbones), squeeze=False)[0]
    panels = dict(zip(backbones, axes, strict=True))
    for backbone, panel in panels.items():
        panel.set_title(backbone, fontsize=10)
        panel.grid(color="#eeeeee")
    return figure, panels


def _curves(
    compared: list[Compared],
    panels: dict[str, Axes],
    curve: Callable[[Axes, Compared, dict[str, Any]], None],
) -> None:
    methods = list(dict.fromkeys(one.cell.method for one in compared))
    for one in compared:
        place = methods.index(one.cell.method)
        style = {
            "color": COLOURS[place % len(COLOURS)],
            "linestyle": STYLES[place // len(COLOURS) % len(STYLES)],
            "label": one.cell.method,
        }
        curve(panels[one.cell.backbone], one, style)
    panels[compared[-1].cell.backbone].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)


def _backbones(compared: list[Compared]) -> list[str]:
    return list(dict.fromkeys(one.cell.backbone for one in compared))
