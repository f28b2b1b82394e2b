"""The station as one application: its pages, its addresses, and the guard around them."""

import traceback
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from anyio.to_thread import current_default_thread_limiter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from sji_edge.core.clock import Clock
from sji_edge.core.errors import SjiError
from sji_edge.core.text import one_line
from sji_edge.review.station import Station
from sji_edge.web.access import Access, AccessSettings
from sji_edge.web.answers import as_error
from sji_edge.web.guard import BODY_TIMEOUT_S, RefusedError, RequestGuard
from sji_edge.web.label import LabelRoutes
from sji_edge.web.look import LookRoutes
from sji_edge.web.pages import Pages
from sji_edge.web.verify import VerifyRoutes

THREADS = 8
"""Requests that work at once; each reads through a connection of its own."""


def make_app(
    station: Station,
    settings: AccessSettings,
    hosts: Iterable[str],
    clock: Clock,
    *,
    failed: Callable[[str], object] = lambda _: None,
    body_timeout_s: float = BODY_TIMEOUT_S,
) -> ASGIApp:
    """Build the station's application.

    Args:
        station: what it shows and does.
        settings: how people get in.
        hosts: values of the ``Host`` header that mean this station.
        clock: for the age of sessions.
        failed: hears about each error that is no fault of the request, in one line.
        body_timeout_s: within this time a request's body must have arrived.
    """
    access = Access(settings, clock)
    pages = Pages(access, station.categories, station.views, station.facts)
    routes = [*pages.routes()]
    routes += VerifyRoutes(station.verification, access, station.explainer).routes()
    routes += LabelRoutes(station.pools, access).routes()
    routes += LookRoutes(station.look, access).routes()

    def internal(request: Request, error: Exception) -> Response:
        place = traceback.extract_tb(error.__traceback__)[-1]
        failed(f"{type(error).__name__} at {place.name}:{place.lineno}: {one_line(error)}")
        return as_error(request, error)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = THREADS
        yield

    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={SjiError: as_error, RefusedError: as_error, Exception: internal},
    )
    return RequestGuard(app, hosts, secure=settings.secure, body_timeout_s=body_timeout_s)
