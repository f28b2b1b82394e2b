from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the station needs its extra")
pytest.importorskip("argon2", reason="the station needs its extra")

from support.station_client import PASSWORD, served
from support.station_material import small_material

from sji_edge.core.decisions import Role
from sji_edge.review.station import StationRequest
from sji_edge.web.users import add_user


@pytest.fixture
def material(tmp_path):
    return small_material(tmp_path / "line")


@pytest.fixture
def request_of(material):
    return StationRequest(records=[material.database], recipes=[material.recipe], blind_share=0.0)


@pytest.fixture
def station(request_of):
    with served(request_of) as client:
        yield client


@pytest.fixture(scope="session")
def users_template(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("users") / "users.json"
    for name, role in (("ada", Role.OPERATOR), ("eve", Role.ENGINEER), ("vic", Role.VIEWER)):
        add_user(path, name, role, PASSWORD)
    return path.read_bytes()


@pytest.fixture
def users(tmp_path, users_template) -> Path:
    """A file with an operator ada, an engineer eve and a viewer vic."""
    path = tmp_path / "users.json"
    path.write_bytes(users_template)
    return path


@pytest.fixture
def page():
    """A page of a real browser, 1280 × 800; skips where there is none. Fails on a script error or a refused policy."""
    from support.browser import browser_page

    with browser_page() as opened:
        yield opened
