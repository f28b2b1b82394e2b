"""Serves a station: which addresses it may have, under which names, and the server itself."""

import asyncio
import ipaddress
import logging
import os
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from sji_edge.core.clock import Clock
from sji_edge.core.decisions import Role
from sji_edge.core.errors import UsageError
from sji_edge.review.sensitivity import Explainer
from sji_edge.review.shown import Person
from sji_edge.review.station import Station, StationRequest
from sji_edge.runtime.bundle.bundle import open_engine
from sji_edge.web.access import AccessSettings
from sji_edge.web.app import make_app
from sji_edge.web.users import read_users
from sji_edge.workflows.engines.open import choose_bundle

HEADER_TIMEOUT_S = 10.0
MAX_CONNECTIONS = 200
MAX_HEADER_BYTES = 16 << 10


@dataclass(frozen=True, kw_only=True)
class ServeRequest:
    """Where a station is served.

    Attributes:
        host: address to listen on; anything but this machine's loopback needs users.
        port: port to listen on; 0 takes a free one.
        names: names under which browsers reach the station, besides the address itself.
        users: file of the users; None where nobody logs in.
        engine: released engine that makes maps of what it looked at; None for no maps.
        behind_proxy: browsers come through a TLS proxy on this machine.
        local_user: whose name stands on decisions where nobody logs in.
    """

    host: str = "127.0.0.1"
    port: int = 8700
    names: tuple[str, ...] = ()
    users: Path | None = None
    engine: Path | None = None
    behind_proxy: bool = False
    local_user: str = "local"


def serve(
    shown: StationRequest,
    request: ServeRequest,
    clock: Clock,
    ready: Callable[[str], object],
    failed: Callable[[str], object],
) -> None:
    """Serve a station until a signal ends the process.

    Args:
        shown: what the station shows.
        request: where.
        clock: for decisions and sessions.
        ready: hears the station's address once it answers.
        failed: hears about errors that are no fault of a request, one line each.

    Raises:
        UsageError: the address is not this machine's or taken, or it is open to others without users.
        SjiError: as ``Station``.
    """
    check_address(request)
    explainer = None if request.engine is None else open_explainer(request.engine)
    with Station(shown, clock, explainer) as station, closing(_listen(request)) as listener:
        port = listener.getsockname()[1]
        settings = AccessSettings(
            request.users, Person(request.local_user, Role.ENGINEER), secure=request.behind_proxy
        )
        app = make_app(station, settings, host_names(request, port), clock, failed=failed)
        config = uvicorn.Config(
            app,
            http=_PromptH11,
            loop="asyncio",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=request.behind_proxy,
            forwarded_allow_ips=["127.0.0.1", "::1"],
            limit_concurrency=MAX_CONNECTIONS,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=3,
        )
        # What strangers send is not worth a line of the terminal each.
        logging.getLogger("uvicorn").addHandler(logging.NullHandler())
        ready(address_of(request, port))
        uvicorn.Server(config).run(sockets=[listener])


def open_explainer(folder: Path) -> Explainer:
    """Open a released engine for maps, on one thread; raises as ``workflows.engines.open.choose_bundle``."""
    bundle = choose_bundle(folder).bundle
    return Explainer(
        open_engine(bundle, threads=1), bundle.preprocess, bundle.card.good_index, bundle.engine_sha256
    )


def check_address(request: ServeRequest) -> None:
    """Check that strangers cannot reach a station without users.

    Raises:
        UsageError: they could; or the station would not know its own name.
    """
    if request.users is not None and not read_users(request.users):
        raise UsageError(f"{request.users} has no users", hint="add some with sji-edge users add NAME")
    if is_loopback(request.host) and not request.behind_proxy:
        return
    if request.users is None:
        raise UsageError(
            f"others could reach the station at {request.host} without logging in; it needs users",
            hint="add some with sji-edge users add NAME, and name their file with --users",
        )
    if not request.names and (request.behind_proxy or _is_any(request.host)):
        raise UsageError(
            "the station must know the name that browsers use for it",
            hint="give it with --name, such as --name station1.example.com",
        )


def is_loopback(host: str) -> bool:
    """Tell whether an address is reached from this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def host_names(request: ServeRequest, port: int) -> set[str]:
    """Return the values of the ``Host`` header that mean this station."""
    names = {request.host, *request.names}
    if is_loopback(request.host):
        names |= {"127.0.0.1", "localhost", "::1"}
    with_port = {f"{_written(name)}:{port}" for name in names}
    return with_port | set(request.names) | ({_written(name) for name in names} if port == 80 else set())


def address_of(request: ServeRequest, port: int) -> str:
    """Return the address that people type: a name of the station, where listening on all addresses says none."""
    if request.behind_proxy:
        return f"https://{request.names[0]}/"
    host = request.names[0] if request.names and _is_any(request.host) else request.host
    return f"http://{_written(host)}:{port}/"


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _listen(request: ServeRequest) -> socket.socket:
    family = socket.AF_INET6 if ":" in request.host else socket.AF_INET
    try:
        listener = socket.create_server((request.host, request.port), family=family, backlog=128)
        # Connections inherit it. Otherwise an answer's body waits 40 ms for the acknowledgement of its head.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise UsageError(
            f"cannot serve the station on {request.host}:{request.port}: {reason}",
            hint="choose another --port, or an address of this machine",
        ) from error


class _PromptH11(H11Protocol):
    """Closes connections whose request does not arrive in time: uvicorn itself would wait for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._idle = 0
        self._last: Any = None
        self._check = self.loop.call_later(HEADER_TIMEOUT_S / 2, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._check.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        cycle: Any = self.cycle
        # A request since the last look shows as another cycle, though it may be answered already.
        busy = cycle is not self._last or (cycle is not None and not cycle.response_complete)
        self._idle, self._last = (0 if busy else self._idle + 1), cycle
        if self._idle >= 2:
            self.transport.close()
        else:
            self._check = self.loop.call_later(HEADER_TIMEOUT_S / 2, self._look)
