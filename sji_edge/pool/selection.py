"""Turns a filter and an order into the parts of a query; every value is bound and never part of the text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sji_edge.pool.read import PoolFilter

ORDERS: dict[str, tuple[tuple[str, ...], str]] = {
    "newest": (("c.id",), "DESC"),
    "oldest": (("c.id",), "ASC"),
    "place": (("c.board", "c.refdes", "c.id"), "ASC"),
    "score": (("j.score", "j.crop_id"), "DESC"),
    "doubt": (("j.doubt", "j.crop_id"), "ASC"),
    "novelty": (("j.novelty", "j.crop_id"), "DESC"),
}
"""The columns that each order sorts by. The last three show only crops that have such a figure."""
FIGURES = ("j.score", "j.doubt", "j.novelty")


def source_of(judged: bool, parts: Sequence[str], *, selective: bool) -> tuple[str, str]:
    """Return the tables that a query's parts need, and the name of the crop's number in them.

    ``CROSS JOIN`` tells SQLite which table to begin with: the one whose index has the order that is asked for, or the
    crops where a filter leaves few of them.
    """
    if not judged:
        return "crops c", "c.id"
    if not any("c." in part.replace("j.", "") for part in parts):
        return "judgements j", "j.crop_id"
    if selective:
        return "crops c CROSS JOIN judgements j ON j.crop_id = c.id", "j.crop_id"
    return "judgements j CROSS JOIN crops c ON c.id = j.crop_id", "j.crop_id"


def is_selective(wanted: "PoolFilter") -> bool:
    """Tell whether a filter leaves few crops of a large pool."""
    return bool(wanted.unit or wanted.refdes or wanted.ids is not None)


def needs_engine(wanted: "PoolFilter") -> bool:
    """Tell whether a filter selects by what an engine said."""
    return bool(wanted.verdict or wanted.score or wanted.novelty or wanted.disagree)


def clause_of(where: list[str]) -> str:
    """Return the WHERE clause of some conditions."""
    return f"WHERE {' AND '.join(where)}" if where else ""


def where_of(wanted: "PoolFilter", engine: str, others: Sequence[str]) -> tuple[list[str], list[Any]]:
    """Return the conditions of a filter and their values, which are bound and never part of a condition."""
    parts: list[tuple[str, list[Any]]] = [
        ("c.board = ?", [wanted.board]),
        ("c.unit = ?", [wanted.unit]),
        ("c.refdes = ?", [wanted.refdes]),
        ("c.package = ?", [wanted.package]),
        ("c.kept_because = ?", [wanted.kept_because.value if wanted.kept_because else ""]),
        ("c.recipe_sha256 = ?", [wanted.recipe_sha256]),
        ("c.captured >= ?", [wanted.since]),
        ("c.captured < ?", [wanted.until]),
        ("j.verdict = ?", [wanted.verdict]),
    ]
    given = [(text, values) for text, values in parts if values[0]]
    if needs_engine(wanted):
        given.append(("j.engine_sha256 = ?", [engine]))
    for column, limits in (("j.score", wanted.score), ("j.novelty", wanted.novelty)):
        if limits is not None:
            given.append((f"{column} >= ? AND {column} < ?", list(limits)))
    if wanted.disagree:
        # Begins with the other engines, which usually looked at fewer crops.
        marks = ", ".join("?" * len(others))
        given.append(
            (
                "j.crop_id IN (SELECT o.crop_id FROM judgements o JOIN judgements m ON m.crop_id = o.crop_id AND "
                f"m.engine_sha256 = ? WHERE o.engine_sha256 IN ({marks}) AND o.verdict <> m.verdict)",
                [engine, *others],
            )
        )
    if wanted.ids is not None:
        given.append((f"c.id IN ({', '.join('?' * len(wanted.ids))})", list(wanted.ids)))
    return [text for text, _ in given], [value for _, values in given for value in values]
