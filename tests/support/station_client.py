"""A station's application as a browser sees it, without a browser."""

import re
from contextlib import contextmanager
from pathlib import Path

from starlette.testclient import TestClient

from sji_edge.core.clock import SystemClock
from sji_edge.core.decisions import Role
from sji_edge.review.shown import Person
from sji_edge.review.station import Station, StationRequest
from sji_edge.web.access import AccessSettings
from sji_edge.web.app import make_app

HOST = "127.0.0.1:8700"
PASSWORD = "correct horse battery"


@contextmanager
def served(request: StationRequest, users: Path | None = None, *, clock=None, **settings):
    """Yield a function that makes a client; each has its own cookies. ``failures`` on it lists internal errors."""
    failures: list[str] = []
    app_settings = {key: settings.pop(key) for key in ("body_timeout_s",) if key in settings}
    with Station(request, SystemClock()) as station:
        access = AccessSettings(users, Person("local", Role.ENGINEER), **settings)
        app = make_app(
            station, access, {HOST}, clock or SystemClock(), failed=failures.append, **app_settings
        )

        def client(address: str = "10.0.0.1") -> TestClient:
            scheme = "https" if settings.get("secure") else "http"
            return TestClient(
                app,
                base_url=f"{scheme}://{HOST}",
                raise_server_exceptions=False,
                follow_redirects=False,
                client=(address, 5000),
            )

        client.failures = failures
        client.station = station
        yield client


def token_of(client: TestClient, page: str = "/verify") -> str:
    """Load a page and return its token."""
    text = client.get(page).text
    found = re.search(r'data-csrf="([0-9a-f]{64})"', text) or re.search(
        r'name="csrf" value="([0-9a-f]{64})"', text
    )
    assert found, text[:300]
    return found[1]


def log_in(client: TestClient, name: str, password: str):
    """Send the login form."""
    form = {"csrf": token_of(client, "/login"), "name": name, "password": password}
    return client.post("/login", data=form)
