"""Writes what is known of a unit as one HTML file: no script, no other file, everything that was recorded escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from sji_edge.core.text import amount

if TYPE_CHECKING:
    from sji_edge.workflows.trace.trace import Picture, Trace, UnitTest

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: .5rem 0 1rem } td, th { padding: .15rem .7rem; text-align: left }
th { border-bottom: 1px solid #999 } tr:nth-child(even) td { background: #f5f5f5 }
section { border-top: 3px solid #ddd; margin-top: 2rem } img { max-width: 100%; image-rendering: auto }
figure { display: inline-block; margin: .5rem 1rem .5rem 0; vertical-align: top } figcaption { color: #555 }
.crop img { width: 168px; image-rendering: pixelated }
.PASS { color: #186a1e } .REVIEW { color: #8a5a00 } .FAIL { color: #b00020 } .ERROR, .SKIPPED { color: #7a1fa2 }
"""
FIGURES = ("score", "lower", "upper", "novelty", "novelty_limit", "deviation")


def trace_page(trace: Trace) -> str:
    """Return the page."""
    serial = escape(trace.serial)
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; img-src data:; "
        "style-src 'unsafe-inline'\">",
        f"<title>{serial}</title><style>{STYLE}</style></head><body><h1>{serial}</h1>",
        f"<p>{amount(len(trace.tests), 'test')} on record.</p>",
        _table(
            ("", "UTC", "board", "unit", "product", "recipe version", "verdict", "cause"),
            (
                (
                    _html(f"<a href='#t{number}'>{number}</a>"),
                    test.board["utc"],
                    test.board["board"],
                    test.board["unit"],
                    test.board["product"],
                    test.board["recipe_version"],
                    _verdict(test.board["unit_verdict"]),
                    test.board["unit_cause"],
                )
                for number, test in enumerate(trace.tests, start=1)
            ),
        ),
        *(_test(number, test) for number, test in enumerate(trace.tests, start=1)),
        "</body></html>\n",
    ]
    return "".join(parts)


class _Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def _html(text: str) -> _Html:
    return _Html(text)


def _verdict(verdict: str) -> _Html:
    return _html(f"<b class='{escape(verdict, quote=True)}'>{escape(verdict)}</b>")


def _test(number: int, test: UnitTest) -> str:
    board = test.board
    name = f"{number}. {board['unit'] + ' of ' if board['unit'] else ''}{board['board']}"
    facts = (
        ("verdict", _verdict(board["unit_verdict"])),
        ("cause", board["unit_cause"]),
        ("earlier boards with this serial number", board["unit_retest"]),
        ("verdict of the whole board", _verdict(board["verdict"])),
        ("serial number of the whole board", board["serial"]),
        ("UTC", board["utc"]),
        ("frame", board["frame_name"]),
        ("alignment residual, px", board["alignment_residual_px"]),
        ("engine", board["engine_sha256"]),
        ("recipe", board["recipe_sha256"]),
    )
    called = [joint for joint in test.joints if joint["verdict"] != "PASS"]
    passed = [joint for joint in test.joints if joint["verdict"] == "PASS"]
    parts = [
        f"<section id='t{number}'><h2>{escape(name)}</h2>",
        _table((), ((label, value) for label, value in facts if value not in ("", None))),
    ]
    if test.decisions:
        parts.append("<h3>What people answered</h3>")
        parts.append(
            _table(
                ("UTC", "who", "role", "joint", "answer", "category"),
                ((one.utc, one.who, one.role, one.refdes, one.what, one.category) for one in test.decisions),
            )
        )
    if called:
        parts.append(f"<h3>{amount(len(called), 'joint')} that did not pass</h3>{_joints(called)}")
    if passed:
        parts.append(
            f"<details><summary>{amount(len(passed), 'joint')} PASS</summary>{_joints(passed)}</details>"
        )
    parts += [_figure(picture) for picture in test.pictures]
    return "".join([*parts, "</section>"])


def _joints(joints: Sequence[dict[str, object]]) -> str:
    shown = [name for name in FIGURES if any(joint.get(name) is not None for joint in joints)]
    return _table(
        ("joint", "verdict", *(name.replace("_", " ") for name in shown), "looks like", "cause"),
        (
            (
                joint["refdes"],
                _verdict(str(joint["verdict"])),
                *(joint[name] for name in shown),
                joint["label"],
                joint["cause"],
            )
            for joint in joints
        ),
    )


def _figure(picture: Picture) -> str:
    title = escape(picture.title)
    if picture.missing:
        return f"<p>No picture of the {title}: {escape(picture.missing)}.</p>"
    kind = " class='crop'" if picture.title.startswith("joint ") else ""
    return (
        f"<figure{kind}><img src='{picture.data_uri}' alt='{title}'><figcaption>{title}</figcaption></figure>"
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{_cell(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{f'<tr>{head}</tr>' if head else ''}{body}</table>"


def _cell(value: object) -> str:
    if isinstance(value, _Html):
        return value
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else escape(str(value))
