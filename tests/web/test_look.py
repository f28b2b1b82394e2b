"""The addresses of the view Look, and the live run as events."""

import json

import anyio
import pytest
from starlette.requests import Request
from support.board_records import record
from support.station_client import PASSWORD

from sji_edge.core.clock import SystemClock
from sji_edge.core.decisions import Role
from sji_edge.records.write.sqlite import SqliteSink
from sji_edge.review.shown import Person
from sji_edge.web.access import Access, AccessSettings
from sji_edge.web.guard import RefusedError
from sji_edge.web.look import MAX_STREAMS, LookRoutes

PARTS = ["boards", "pareto", "summary", "history?refdes=J001", "boards?verdict=FAIL&text=board"]
WRONG = ["0/boards?verdict=x", "0/boards?since=x", "0/boards?before=x", "0/pareto?by=x", "7/boards"]


@pytest.mark.parametrize("address", PARTS)
def test_each_part_is_answered(station, address):
    assert station().get(f"/api/look/0/{address}").status_code == 200
    assert station.failures == []


@pytest.mark.parametrize("address", WRONG)
def test_what_cannot_be_asked_is_refused(station, address):
    assert station().get(f"/api/look/{address}").status_code == 400
    assert station.failures == []


def browser_request(cookie: str = "") -> Request:
    headers = [(b"host", b"127.0.0.1:8700"), (b"cookie", f"sji={cookie}".encode())]
    return Request(
        {"type": "http", "method": "GET", "path": "/api/look/live", "headers": headers, "query_string": b""}
    )


def live_routes(station, users=None):
    access = Access(AccessSettings(users, Person("local", Role.ENGINEER)), SystemClock())
    return LookRoutes(station.station.look, access, tick_s=0.01)


async def news(stream):
    """Return the next event's data, past comments."""
    async for text in stream:
        if text.startswith("data: "):
            return json.loads(text[6:])
    return "ended"


def test_a_new_board_is_news_and_the_same_state_is_not(station, material):
    routes = live_routes(station)

    async def watch():
        stream = (await routes.live(browser_request())).body_iterator
        first = await news(stream)
        with SqliteSink(material.database) as line:
            line.write(record(0, utc="2027-01-01T00:00:00+00:00"))
        second = await news(stream)
        await stream.aclose()
        return first["frame_name"], second["frame_name"]

    assert anyio.run(watch) == ("board03.png", "board0.png")
    assert routes.streams == 0


def test_a_stream_ends_when_its_user_is_removed(station, users):
    from sji_edge.web.users import remove_user

    routes = live_routes(station, users)
    access = routes._access
    cookie = access.log_in(Request({**browser_request().scope, "client": ("10.0.0.1", 1)}), "ada", PASSWORD)

    async def watch():
        stream = (await routes.live(browser_request(cookie))).body_iterator
        await news(stream)
        remove_user(users, "ada")
        return await news(stream)

    assert anyio.run(watch) == "ended"
    assert routes.streams == 0


def test_pages_that_leave_free_their_places_and_too_many_are_refused(station):
    routes = live_routes(station)

    async def crowd():
        streams = []
        for _ in range(MAX_STREAMS):
            stream = (await routes.live(browser_request())).body_iterator
            await news(stream)
            streams.append(stream)
        with pytest.raises(RefusedError, match="watch the run already"):
            await routes.live(browser_request())
        for stream in streams:
            await stream.aclose()
        return routes.streams

    assert anyio.run(crowd) == 0


def test_strangers_see_nothing_of_it(request_of, users):
    from support.station_client import served

    with served(request_of, users) as client:
        for address in ("live", "0/boards", "0/pareto", "0/summary", "0/history"):
            assert client().get(f"/api/look/{address}").status_code == 401
