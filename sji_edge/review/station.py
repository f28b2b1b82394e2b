"""A station: the records and pools that it shows, and the views over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sji_edge.core.clock import Clock
from sji_edge.core.errors import UsageError
from sji_edge.recipe.board import Recipe
from sji_edge.review.boards import Recipes
from sji_edge.review.categories import Categories, read_categories
from sji_edge.review.labelling import Pool
from sji_edge.review.look import Look
from sji_edge.review.records import Records
from sji_edge.review.sensitivity import Explainer
from sji_edge.review.verification import Source, Verification


@dataclass(frozen=True, kw_only=True)
class StationRequest:
    """What a station shows.

    Attributes:
        records: databases that ``infer`` wrote.
        pools: folders that ``collect`` wrote.
        recipes: recipe folders, for the places of joints and the golden images.
        categories: file of what people can say of a joint; None for the one that comes with sji-edge.
        since: only boards from this UTC time on; empty for all.
        blind_share: share of decisions after which a decided call is presented again without its answer.
    """

    records: Sequence[Path] = ()
    pools: Sequence[Path] = ()
    recipes: Sequence[Path] = ()
    categories: Path | None = None
    since: str = ""
    blind_share: float = 0.02


class Station:
    """Everything behind the pages; closes its databases at the end of a ``with`` block.

    Args:
        request: what it shows.
        clock: for the time of each decision.
        explainer: makes maps of what an engine looked at; None for no maps. Closed with the station.

    Raises:
        UsageError: there is nothing to show, or a database, recipe or file is wrong.
        OutputError: a database cannot be written.
    """

    def __init__(self, request: StationRequest, clock: Clock, explainer: Explainer | None = None) -> None:
        self.explainer = explainer
        if not request.records and not request.pools:
            raise UsageError(
                "there are no records and no pools to review",
                hint="name the inspections.db of a run, or a pool",
            )
        self.categories: Categories = read_categories(request.categories)
        self.recipes = Recipes([Recipe.load(folder) for folder in request.recipes])
        self._records: list[Records] = []
        self.pools: list[Pool] = []
        try:
            for path in request.records:
                self._records.append(Records(path, clock))
            for folder in request.pools:
                self.pools.append(Pool(folder, self.categories, clock))
        except BaseException:
            self.close()
            raise
        self.sources = [Source(one, self.recipes, request.since) for one in self._records]
        self.verification = Verification(self.sources, self.recipes, self.categories, request.blind_share)
        self.look = Look(self.sources)
        for source in self.sources:
            source.calls.refresh()

    @property
    def views(self) -> tuple[str, ...]:
        """The views that there is something to show in."""
        records, pools = bool(self._records), bool(self.pools)
        return ("verify",) * records + ("label",) * pools + ("look",) * records

    @property
    def facts(self) -> dict[str, Any]:
        """What the pages' scripts must know from the start."""
        return {
            "sources": [one.path.resolve().parent.name for one in self._records],
            "maps": self.explainer is not None,
            "pools": [pool.folder.resolve().name for pool in self.pools],
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all databases."""
        if self.explainer is not None:
            self.explainer.close()
        for records in self._records:
            records.close()
        for pool in self.pools:
            pool.close()
