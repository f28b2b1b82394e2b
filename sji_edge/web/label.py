"""The view *Label*: crops in order, crops alike, labels and their undo."""

from collections.abc import Sequence
from typing import Annotated, get_args

from pydantic import Field, StringConstraints, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sji_edge.core.decisions import Role
from sji_edge.core.frozen import FrozenModel
from sji_edge.pool.read import PoolFilter
from sji_edge.records.read.utc import utc_prefix
from sji_edge.review.labelling import MAX_LABELS, PAGE, Pool, Sorting
from sji_edge.review.pictures import NoPictureError
from sji_edge.web.access import Access
from sji_edge.web.answers import as_json, as_picture, body_of, integer
from sji_edge.web.guard import RefusedError
from sji_edge.web.verify import Count, Token

MAX_PAGE = 600
TEXTS = ("board", "unit", "refdes", "package")


class LabelsBody(FrozenModel):
    """Labels as the page sends them."""

    ids: Annotated[tuple[Count, ...], Field(min_length=1, max_length=MAX_LABELS)]
    category: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    seconds: Annotated[float, Field(ge=0)] | None = None
    score_shown: bool = False
    token: Token


class UndoLabelsBody(FrozenModel):
    """The labels to take back, by their rows."""

    rows: Annotated[tuple[Count, ...], Field(min_length=1, max_length=MAX_LABELS)]
    token: Token


class LabelRoutes:
    """The addresses of the view.

    Args:
        pools: what it shows.
        access: who may.
    """

    def __init__(self, pools: Sequence[Pool], access: Access) -> None:
        self._pools = list(pools)
        self._access = access

    def routes(self) -> list[Route]:
        """Return the addresses."""
        return [
            Route("/api/label/{pool:int}/facets", self.facets),
            Route("/api/label/{pool:int}/crops", self.crops),
            Route("/api/label/{pool:int}/alike", self.alike),
            Route("/api/label/{pool:int}/labels", self.label, methods=["POST"]),
            Route("/api/label/{pool:int}/undo", self.undo, methods=["POST"]),
            Route("/pictures/crops/{pool:int}/{crop:int}", self.picture),
        ]

    def facets(self, request: Request) -> Response:
        """Answer with what can be filtered by, and the progress."""
        self._access.require(request)
        return as_json(self._pool(request).facets())

    def crops(self, request: Request) -> Response:
        """Answer with a page of crops."""
        self._access.require(request)
        query = request.query_params
        order: Sorting | None = next(
            (one for one in get_args(Sorting) if one == query.get("order", "newest")), None
        )
        if order is None:
            raise RefusedError(400, "there is no such order")
        page = self._pool(request).page(
            _filter(request),
            order,
            query.get("labelled", "")[:40],
            integer(request, "after"),
            _limit(request),
        )
        return as_json(page)

    def alike(self, request: Request) -> Response:
        """Answer with crops like those that are named."""
        self._access.require(request)
        texts = request.query_params.get("ids", "").split(",")[:100]
        if not all(text.isascii() and text.isdigit() and len(text) < 16 for text in texts):
            raise RefusedError(400, "ids must be whole numbers")
        labelled = request.query_params.get("labelled", "")[:40]
        ids = [int(text) for text in texts]
        return as_json(self._pool(request).alike(ids, _filter(request), labelled, _limit(request)))

    async def label(self, request: Request) -> Response:
        """Write labels."""
        person = self._access.require(request, Role.ENGINEER)
        self._access.check_origin(request, request.headers.get("x-csrf-token", ""))
        body, pool = await body_of(request, LabelsBody), self._pool(request)
        rows = await run_in_threadpool(
            pool.label, person, body.ids, body.category, body.seconds, body.score_shown, body.token
        )
        return as_json({"rows": rows})

    async def undo(self, request: Request) -> Response:
        """Take labels back."""
        person = self._access.require(request, Role.ENGINEER)
        self._access.check_origin(request, request.headers.get("x-csrf-token", ""))
        body, pool = await body_of(request, UndoLabelsBody), self._pool(request)
        await run_in_threadpool(pool.undo, person, body.rows, body.token)
        return as_json({"undone": len(body.rows)})

    def picture(self, request: Request) -> Response:
        """Answer with a crop's picture."""
        self._access.require(request)
        crop = min(request.path_params["crop"], 2**62)
        try:
            return as_picture(self._pool(request).picture(crop))
        except NoPictureError as error:
            raise RefusedError(404, error.message) from error

    def _pool(self, request: Request) -> Pool:
        number: int = request.path_params["pool"]
        if number >= len(self._pools):
            raise RefusedError(404, "there is no such pool")
        return self._pools[number]


def _limit(request: Request) -> int:
    return max(1, min(integer(request, "limit", PAGE) or PAGE, MAX_PAGE))


def _filter(request: Request) -> PoolFilter:
    query = request.query_params
    try:
        values = {name: query.get(name, "")[:200] for name in TEXTS}
        times = {name: utc_prefix(query.get(name, "")) for name in ("since", "until")}
        score = None
        if query.get("low") or query.get("high"):
            score = (float(query.get("low") or 0.0), float(query.get("high") or 1.01))
        return PoolFilter(
            **values,
            **times,
            score=score,
            verdict=query.get("verdict", ""),
            disagree=query.get("disagree") == "1",
        )
    except (ValueError, ValidationError) as error:
        raise RefusedError(400, "the filter cannot be read") from error
