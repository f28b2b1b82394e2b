"""The rules that say which joints are worth keeping."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from sji_edge.core.errors import UsageError
from sji_edge.core.protocols import JointRecord
from sji_edge.core.registry import nearest
from sji_edge.core.shares import parse_share
from sji_edge.core.verdict import Verdict
from sji_edge.pool.rows import doubt_of
from sji_edge.pool.schema import KeptBecause

UNCERTAIN_LOGITS = 1.0
NOVEL = 1.0
WORDS = ("all", "nth:N", "uncertain", "novel", "random:SHARE", "called")
WITHOUT_ENGINE = ("all",)
WITH_ENGINE = ("called", "uncertain", "random:2%")
"""What is kept where nobody said it."""


@dataclass(frozen=True, slots=True)
class KeepRules:
    """Which joints to keep: those that at least one rule selects. None where a rule is not in use.

    Attributes:
        everything: keep every joint.
        nth: keep the joints of every n-th frame of the stream.
        uncertain: keep joints whose score is fewer logits than this from a threshold.
        novel: keep joints whose novelty is at least this; at 1, as unusual as 1 good joint in 100.
        random: keep this share of the joints, chosen by a hash, so that the same frame gives the same joints.
        called: keep the joints that the engine calls: REVIEW and FAIL.
    """

    everything: bool = False
    nth: int | None = None
    uncertain: float | None = None
    novel: float | None = None
    random: float | None = None
    called: bool = False

    @classmethod
    def parse(cls, words: Sequence[str]) -> Self:
        """Read rules as a user writes them; see ``WORDS``.

        Raises:
            UsageError: there is none, a word is unknown, or its figure is wrong.
        """
        if not words:
            raise UsageError("no rule says which joints to keep", hint=f"name some of {', '.join(WORDS)}")
        rules = cls()
        for word in words:
            name, _, figure = word.strip().partition(":")
            if name == "all" and not figure:
                rules = replace(rules, everything=True)
            elif name == "called" and not figure:
                rules = replace(rules, called=True)
            elif name == "nth":
                rules = replace(rules, nth=_count(word, figure))
            elif name == "random":
                rules = replace(rules, random=_share(word, figure))
            elif name == "uncertain":
                rules = replace(rules, uncertain=_figure(word, figure, UNCERTAIN_LOGITS))
            elif name == "novel":
                rules = replace(rules, novel=_figure(word, figure, NOVEL))
            else:
                known = [rule.partition(":")[0] for rule in WORDS]
                raise UsageError(
                    f"cannot keep {word!r}: rules are {', '.join(WORDS)}", hint=nearest(name, known)
                )
        return rules

    @property
    def needs_engine(self) -> tuple[str, ...]:
        """The rules in use that an engine must answer."""
        used = {"uncertain": self.uncertain, "novel": self.novel, "called": self.called or None}
        return tuple(name for name, value in used.items() if value is not None)

    def reason(self, joint: JointRecord, frame_index: int, frame_sha256: str) -> KeptBecause | None:
        """Return why a joint is kept; None where no rule selects it.

        A rule that does not look at the verdict comes first: what it selects is a fair sample of the line, with the
        called joints among it, and rates can be measured on it.

        Args:
            joint: as the engine judged it.
            frame_index: the frame's number in its stream.
            frame_sha256: hash of the frame's pixels.
        """
        if self.everything:
            return KeptBecause.ALL
        if self.nth is not None and frame_index % self.nth == 0:
            return KeptBecause.NTH
        if self.random is not None and _draw(frame_sha256, joint.refdes) < self.random:
            return KeptBecause.RANDOM
        if self.calls(joint):
            return KeptBecause.CALLED
        doubt = doubt_of(joint)
        if self.uncertain is not None and doubt is not None and doubt < self.uncertain:
            return KeptBecause.UNCERTAIN
        if self.novel is not None and joint.novelty is not None and joint.novelty >= self.novel:
            return KeptBecause.NOVEL
        return None

    def calls(self, joint: JointRecord) -> bool:
        """Tell whether called joints are kept, and this is one; a person has to answer each of them."""
        return self.called and joint.verdict in (Verdict.REVIEW, Verdict.FAIL)


def _draw(frame_sha256: str, refdes: str) -> float:
    """Return a number in [0, 1) that depends only on the joint."""
    digest = hashlib.sha256(f"{frame_sha256}/{refdes}".encode("utf-8", "surrogateescape")).digest()
    return float(int.from_bytes(digest[:8], "big") / 2**64)


def _count(word: str, figure: str) -> int:
    if not figure.isascii() or not figure.isdecimal() or not 1 <= int(figure[:10]) <= 10**9:
        raise UsageError(f"cannot keep {word!r}: write nth:N with a whole number N, such as nth:10")
    return int(figure)


def _share(word: str, figure: str) -> float:
    share = parse_share(figure)
    if share is None or not 0.0 < share <= 1.0:
        raise UsageError(
            f"cannot keep {word!r}: write random:SHARE with a share up to 1, such as random:0.02"
        )
    return share


def _figure(word: str, figure: str, default: float) -> float:
    if not figure:
        return default
    try:
        value = float(figure)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0.0):
        raise UsageError(f"cannot keep {word!r}: the figure after the colon must be above 0")
    return value
