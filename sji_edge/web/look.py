"""The view *Look*: boards, what fails most, what changed, a joint's history, and the live run as server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from sji_edge.core.errors import SjiError
from sji_edge.core.verdict import Verdict
from sji_edge.records.read.utc import utc_prefix
from sji_edge.review.look import Look
from sji_edge.web.access import Access
from sji_edge.web.answers import as_json, integer
from sji_edge.web.guard import RefusedError

TICK_S = 1.0
QUIET_TICKS = 15
"""After so many ticks without news, a comment tells both ends that the connection lives."""
MAX_STREAMS = 20


class LookRoutes:
    """The addresses of the view.

    Args:
        look: what it shows.
        access: who may.
        tick_s: time between two looks at the records for the live view.
    """

    def __init__(self, look: Look, access: Access, tick_s: float = TICK_S) -> None:
        self._look = look
        self._access = access
        self._tick_s = tick_s
        self.streams = 0

    def routes(self) -> list[Route]:
        """Return the addresses."""
        return [
            Route("/api/look/live", self.live),
            Route("/api/look/{source:int}/boards", self.boards),
            Route("/api/look/{source:int}/pareto", self.pareto),
            Route("/api/look/{source:int}/summary", self.summary),
            Route("/api/look/{source:int}/history", self.history),
        ]

    def boards(self, request: Request) -> Response:
        """Answer with boards, newest first."""
        self._access.require(request)
        query = request.query_params
        verdict = query.get("verdict", "")
        if verdict and verdict not in list(Verdict):
            raise RefusedError(400, "there is no such verdict")
        try:
            since, until = utc_prefix(query.get("since", "")), utc_prefix(query.get("until", ""))
        except ValueError as error:
            raise RefusedError(400, str(error)) from error
        found = self._look.boards(
            request.path_params["source"],
            verdict=verdict,
            text=query.get("text", "")[:100],
            since=since,
            until=until,
            before=integer(request, "before"),
        )
        return as_json(found)

    def pareto(self, request: Request) -> Response:
        """Answer with what was called most."""
        self._access.require(request)
        by = request.query_params.get("by", "refdes")
        return as_json(self._look.pareto(request.path_params["source"], by))

    def summary(self, request: Request) -> Response:
        """Answer with the last day beside the day before."""
        self._access.require(request)
        return as_json(self._look.summary(request.path_params["source"]))

    def history(self, request: Request) -> Response:
        """Answer with one joint on the newest boards."""
        self._access.require(request)
        refdes = request.query_params.get("refdes", "")[:200]
        return as_json(self._look.history(request.path_params["source"], refdes))

    async def live(self, request: Request) -> Response:
        """Stream the state of the newest run, whenever it changes."""
        self._access.require(request)
        if self.streams >= MAX_STREAMS:
            raise RefusedError(503, f"{MAX_STREAMS} pages watch the run already; close one")
        headers = {"x-accel-buffering": "no"}
        return StreamingResponse(self._events(request), media_type="text/event-stream", headers=headers)

    async def _events(self, request: Request) -> AsyncIterator[str]:
        self.streams += 1
        last, quiet = "", 0
        try:
            yield "retry: 3000\n\n"
            # Whoever logged out, or was removed, sees no more.
            while self._access.person(request) is not None:
                text = await run_in_threadpool(self._state)
                quiet += 1
                if text != last:
                    last, quiet = text, 0
                    yield f"data: {text}\n\n"
                elif quiet % QUIET_TICKS == 0:
                    yield ": still here\n\n"
                await asyncio.sleep(self._tick_s)
        finally:
            self.streams -= 1

    def _state(self) -> str:
        try:
            state = self._look.live()
        except SjiError as error:
            return json.dumps({"error": error.message})
        # JSON has no line breaks, which would end the event.
        return json.dumps(None if state is None else asdict(state))
