"""Writes the report as one HTML file with its pictures embedded; it needs no network and no script."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from sji_edge.core.files import write_atomic
from sji_edge.core.verdict import Verdict
from sji_edge.evaluation.gallery import Shown
from sji_edge.evaluation.report import Evaluation, Figure
from sji_edge.evaluation.unknown.counts import Share, UnknownReport, UnknownRow
from sji_edge.evaluation.unknown.sheet import LEGEND

TITLES = {
    "escape_rate": "escape rate (defects given PASS)",
    "false_call_rate": "false-call rate (good joints given FAIL)",
    "review_rate_of_good": "good joints sent to REVIEW",
    "defects_failed": "defects given FAIL",
    "accuracy": "accuracy (most probable class)",
    "f1_defect": "F1 (defect; called from the FAIL limit)",
    "macro_f1": "macro-F1 (most probable class)",
    "average_precision": "average precision (defect)",
    "auroc": "AUROC",
    "ece": "expected calibration error",
    "ece_calibrated": "… after temperature scaling",
    "aurc": "area under risk-coverage",
    "false_calls_at_0_escape": "lowest false-call rate at no escape",
    "false_calls_at_1_escape": "lowest false-call rate at 1 % escapes",
}
SOURCES = {
    "crops": "joints of the dataset, judged one by one",
    "frames": "whole boards, judged as infer does",
}
"""Heading of each source of unknown pictures."""
PERCENT = {
    "escape_rate",
    "false_call_rate",
    "review_rate_of_good",
    "defects_failed",
    "accuracy",
    "false_calls_at_0_escape",
    "false_calls_at_1_escape",
}


@dataclass(frozen=True)
class Page:
    """What the page shows.

    Attributes:
        title: heading of the page.
        facts: what was evaluated, on which data and when.
        words: what the chosen limits mean, as sentences.
        evaluation: figures, class table and curve.
        pictures: heading to PNG file.
        escapes: tiles of the defects that look best.
        false_calls: tiles of the good joints that look worst.
        attention: what is said about the activation maps.
        unknown: the suite of unknown pictures; None where it was not judged.
        unknown_sheets: one PNG file for each of its rows; empty where there is no picture.
    """

    title: str
    facts: Mapping[str, str]
    words: Sequence[str]
    evaluation: Evaluation
    pictures: Mapping[str, bytes]
    escapes: Sequence[Shown]
    false_calls: Sequence[Shown]
    attention: str
    unknown: UnknownReport | None = None
    unknown_sheets: Sequence[bytes] = ()


def write_page(path: Path, page: Page) -> None:
    """Render the page, and write it in one step."""
    environment = Environment(
        loader=PackageLoader("sji_edge.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "data": _data_url,
        "figure": figure_text,
        "interval": interval_text,
        "between": between_text,
        "decided": decided_text,
    }
    text = environment.get_template("page.html.jinja").render(
        page=page, titles=TITLES, sources=SOURCES, legend=LEGEND
    )
    write_atomic(path, text)


def figure_text(figure: Figure) -> str:
    """Format a figure's value: shares in percent, a dash where it cannot be computed."""
    if figure.value is None:
        return "–"
    return f"{figure.value:.1%}" if figure.name in PERCENT else f"{figure.value:.4f}"


def interval_text(figure: Figure) -> str:
    """Format a figure's interval, or say why there is no value."""
    if figure.value is None:
        return figure.why
    if figure.low is None or figure.high is None:
        return ""
    if figure.name in PERCENT:
        return f"{figure.low:.1%} to {figure.high:.1%}"
    return f"{figure.low:.4f} to {figure.high:.4f}"


def between_text(share: Share) -> str:
    """Format the interval of a share."""
    return f"{share.low:.1%} to {share.high:.1%}"


def decided_text(row: UnknownRow) -> str:
    """List what was decided instead of PASS, most frequent first."""
    others = [(count, said) for said, count in row.decided.items() if said != Verdict.PASS]
    return ", ".join(f"{count} {said}" for count, said in sorted(others, key=lambda one: (-one[0], one[1])))


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
