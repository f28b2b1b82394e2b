"""Finds joints and packages that are called far more often than their peers: a process fault, or false calls."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sji_edge.core.errors import UsageError
from sji_edge.metrics.fisher import excess_p
from sji_edge.metrics.intervals import clopper_pearson
from sji_edge.metrics.multiple_testing import holm
from sji_edge.records.read.history import Filter, History
from sji_edge.records.read.ranking import JointCounts

SIGNIFICANCE = 0.05
"""Probability that the list contains any joint although all joints are equal."""
FEW_PEERS = 2
"""A joint with fewer peers in its own package is compared with all other joints of its recipe."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """How clearly a joint or a package stands out.

    Attributes:
        rate: share of its judged boards on which it was called (FAIL or REVIEW).
        peers_rate: the same share of its peers.
        peers: who the peers are, as ``7 rect``.
        at_least: how many times as often it is called: the lower 95 % limit of its rate over the upper one of its
            peers.
        p: p-value of Fisher's exact test with Holm's correction for the whole list.
    """

    rate: float
    peers_rate: float
    peers: str
    at_least: float
    p: float


@dataclass(frozen=True, slots=True)
class JointOutlier:
    """A joint that is called more often than the other joints of its package.

    Attributes:
        recipe_sha256: the recipe that it belongs to.
        refdes: its name.
        package: its package; empty where it is not on record.
        judged: boards on which it got a verdict other than ERROR.
        fails: boards on which it got FAIL.
        reviews: boards on which it got REVIEW.
        evidence: how clearly it stands out.
        in_a_row: most consecutive boards on which it was called.
        median_margin: median distance above its FAIL limit when called, in logits; None where it has no score.
    """

    recipe_sha256: str
    refdes: str
    package: str
    judged: int
    fails: int
    reviews: int
    evidence: Evidence
    in_a_row: int = 0
    median_margin: float | None = None

    @property
    def name(self) -> str:
        """The refdes."""
        return self.refdes


@dataclass(frozen=True, slots=True)
class PackageOutlier:
    """A package whose joints are called more often than the joints of all other packages.

    Attributes:
        package: its name.
        joints: number of its joints, each recipe counted.
        judged: verdicts other than ERROR.
        fails: verdicts FAIL.
        reviews: verdicts REVIEW.
        evidence: how clearly it stands out.
    """

    package: str
    joints: int
    judged: int
    fails: int
    reviews: int
    evidence: Evidence

    @property
    def name(self) -> str:
        """The package."""
        return self.package


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


@dataclass(frozen=True, slots=True)
class _Peers:
    """The counts of one joint or package, those of its peers, and who the peers are."""

    own: _Sum
    peers: _Sum
    who: str


def outlying_joints(history: History, wanted: Filter, limit: int) -> list[JointOutlier]:
    """List joints that are called (FAIL or REVIEW) more often than their peers, the clearest first.

    The peers of a joint are the other joints of its package in its recipe. Fisher's exact test with Holm's correction
    decides which joints are listed.

    A second run over the same boards counts them again and is no new evidence: choose one run with ``wanted``.

    Args:
        history: the records.
        wanted: which records; its ``refdes`` selects from what was found, not from the peers.
        limit: maximum number of rows.
    """
    counts = _counts(history, wanted)
    recipes: dict[str, list[JointCounts]] = {}
    packages: dict[tuple[str, str], list[JointCounts]] = {}
    for one in counts:
        recipes.setdefault(one.recipe, []).append(one)
        packages.setdefault((one.recipe, one.package), []).append(one)
    rows = [_peers_of(one, packages[one.recipe, one.package], recipes[one.recipe]) for one in counts]
    found = [
        JointOutlier(one.recipe, one.refdes, one.package, one.judged, one.fails, one.reviews, evidence)
        for one, evidence in zip(counts, _evidence(rows), strict=True)
        if evidence is not None
    ]
    found.sort(key=_clearest)
    found = [one for one in found if wanted.refdes in ("", one.refdes)][:limit]
    return _with_course(history, wanted, found)


def outlying_packages(history: History, wanted: Filter, limit: int) -> list[PackageOutlier]:
    """List packages whose joints are called more often than those of all other packages; see ``outlying_joints``.

    Raises:
        UsageError: no package is on record.
    """
    counts = _counts(history, wanted)
    check_packages(counts)
    packages: dict[str, list[JointCounts]] = {}
    for one in counts:
        packages.setdefault(one.package, []).append(one)
    everything = _Sum.of(counts)
    rows = [
        _Peers(own, everything.without(own), f"{len(counts) - len(joints)} others")
        for joints in packages.values()
        for own in [_Sum.of(joints)]
    ]
    found = [
        PackageOutlier(
            package,
            len(joints),
            row.own.judged,
            sum(one.fails for one in joints),
            sum(one.reviews for one in joints),
            evidence,
        )
        for (package, joints), row, evidence in zip(packages.items(), rows, _evidence(rows), strict=True)
        if evidence is not None
    ]
    return sorted(found, key=_clearest)[:limit]


def check_packages(counts: Sequence[JointCounts]) -> None:
    """Raise ``UsageError`` if there are joints, but the package of none is on record."""
    if counts and not any(one.package for one in counts):
        raise UsageError(
            "no package of these joints is on record",
            hint="run sji-edge infer with their recipe once: it records the packages for all boards of that recipe",
        )


def _counts(history: History, wanted: Filter) -> list[JointCounts]:
    return [one for one in history.counts(wanted.model_copy(update={"refdes": ""})) if one.judged]


def _peers_of(one: JointCounts, package: Sequence[JointCounts], recipe: Sequence[JointCounts]) -> _Peers:
    own = _Sum(one.judged, one.called)
    group, kind = (package, one.package) if len(package) > FEW_PEERS else (recipe, "")
    return _Peers(own, _Sum.of(group).without(own), f"{len(group) - 1} {kind or 'others'}")


def _evidence(rows: Sequence[_Peers]) -> list[Evidence | None]:
    """Return the evidence of each row; None where it does not stand out."""
    tests = [excess_p(row.own.called, row.own.judged, row.peers.called, row.peers.judged) for row in rows]
    return [
        Evidence(
            row.own.rate,
            row.peers.rate,
            row.who,
            clopper_pearson(row.own.called, row.own.judged)[0]
            / clopper_pearson(row.peers.called, row.peers.judged)[1],
            p,
        )
        if p < SIGNIFICANCE
        else None
        for row, p in zip(rows, holm(tests), strict=True)
    ]


def _clearest(one: JointOutlier | PackageOutlier) -> tuple[float, float, str]:
    return -one.evidence.at_least, one.evidence.p, one.name


def _with_course(history: History, wanted: Filter, found: list[JointOutlier]) -> list[JointOutlier]:
    if not found:
        return found
    courses = history.course(wanted, [one.refdes for one in found])
    return [
        replace(one, in_a_row=course.in_a_row, median_margin=course.median_margin)
        for one in found
        for course in [courses[one.recipe_sha256, one.refdes]]
    ]
