"""Joints and packages that are called far more often than their peers: a fault of the process, or false calls."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sji_edge.core.errors import UsageError
from sji_edge.metrics.fisher import excess_p
from sji_edge.metrics.intervals import clopper_pearson
from sji_edge.metrics.multiple_testing import holm
from sji_edge.records.read.history import Filter, History
from sji_edge.records.read.ranking import By, JointCounts

MISTAKE = 0.05
"""Probability that anything at all is listed although all are alike."""
FEW_PEERS = 2
"""With fewer of its own package, a joint is compared with all others of its recipe."""


@dataclass(frozen=True, slots=True)
class _Sum:
    judged: int
    called: int

    @classmethod
    def of(cls, counts: Iterable[JointCounts]) -> "_Sum":
        listed = list(counts)
        return cls(sum(one.judged for one in listed), sum(one.called for one in listed))

    def without(self, other: "_Sum") -> "_Sum":
        return _Sum(self.judged - other.judged, self.called - other.called)

    @property
    def rate(self) -> float:
        return self.called / self.judged if self.judged else 0.0


def standing_out(history: History, wanted: Filter, by: By, most: int) -> list[dict[str, Any]]:
    """List what is called (FAIL or REVIEW) more often than its peers, the most clearly first.

    A joint's peers are the other joints of its package in its recipe, a package's the joints of all others.
    Fisher's exact test with Holm's correction says what is listed; the order is by ``at_least``, the lower 95 %
    limit of its rate over the upper one of its peers: how many times as often at least.

    A run over the same boards again counts them again, and is no new evidence: choose one run by ``wanted``.

    Args:
        history: the records.
        wanted: which of them; a ``refdes`` in it chooses among what was found, not among the peers.
        by: what is compared.
        most: rows.

    Raises:
        UsageError: by package, and none is on record.
    """
    counts = [one for one in history.counts(wanted.model_copy(update={"refdes": ""})) if one.judged]
    if by == "package":
        known_packages(counts)
    rows = _joints(counts) if by == "refdes" else _packages(counts)
    found = []
    for (head, own, peers, among), p in zip(
        rows, holm([_p(own, peers) for _, own, peers, _ in rows]), strict=True
    ):
        if p < MISTAKE:
            times = (
                clopper_pearson(own.called, own.judged)[0] / clopper_pearson(peers.called, peers.judged)[1]
            )
            compared = {"rate": own.rate, "peers_rate": peers.rate, "peers": among, "at_least": times, "p": p}
            found.append({**head, **compared})
    found.sort(key=lambda row: (-row["at_least"], row["p"], row[by]))
    found = [row for row in found if by != "refdes" or wanted.refdes in ("", row["refdes"])][:most]
    return _with_course(history, wanted, found) if by == "refdes" else found


def known_packages(counts: Sequence[JointCounts]) -> None:
    """Raise ``UsageError`` when there are boards, and the package of none of their joints is on record."""
    if counts and not any(one.package for one in counts):
        raise UsageError(
            "no package of these joints is on record",
            hint="run sji-edge infer with their recipe once: it writes down the packages for all boards of it",
        )


_Row = tuple[dict[str, Any], _Sum, _Sum, str]
"""What is shown first, its own counts, its peers', and who they are."""


def _p(own: _Sum, peers: _Sum) -> float:
    return excess_p(own.called, own.judged, peers.called, peers.judged)


def _joints(counts: Sequence[JointCounts]) -> list[_Row]:
    recipes: dict[str, list[JointCounts]] = {}
    packages: dict[tuple[str, str], list[JointCounts]] = {}
    for one in counts:
        recipes.setdefault(one.recipe, []).append(one)
        packages.setdefault((one.recipe, one.package), []).append(one)
    of_recipe = {key: (_Sum.of(joints), len(joints) - 1) for key, joints in recipes.items()}
    of_package = {key: (_Sum.of(joints), len(joints) - 1) for key, joints in packages.items()}
    rows: list[_Row] = []
    for one in counts:
        own = _Sum(one.judged, one.called)
        group, size = of_package[one.recipe, one.package]
        kind = one.package
        if size < FEW_PEERS:
            (group, size), kind = of_recipe[one.recipe], ""
        head = {
            "recipe_sha256": one.recipe,
            "refdes": one.refdes,
            "package": one.package,
            "judged": one.judged,
            "fails": one.fails,
            "reviews": one.reviews,
        }
        rows.append((head, own, group.without(own), f"{size} {kind or 'others'}"))
    return rows


def _packages(counts: Sequence[JointCounts]) -> list[_Row]:
    packages: dict[str, list[JointCounts]] = {}
    for one in counts:
        packages.setdefault(one.package, []).append(one)
    everything = _Sum.of(counts)
    rows: list[_Row] = []
    for package, joints in packages.items():
        own = _Sum.of(joints)
        head = {
            "package": package,
            "joints": len(joints),
            "judged": own.judged,
            "fails": sum(one.fails for one in joints),
            "reviews": sum(one.reviews for one in joints),
        }
        rows.append((head, own, everything.without(own), f"{len(counts) - len(joints)} others"))
    return rows


def _with_course(history: History, wanted: Filter, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not found:
        return found
    courses = history.course(wanted, [row["refdes"] for row in found])
    return [
        {**row, "in_a_row": course.in_a_row, "median_margin": course.median_margin}
        for row in found
        for course in [courses[row["recipe_sha256"], row["refdes"]]]
    ]
