"""The addresses of the view Label."""

from dataclasses import astuple

import pytest
from support.board_records import rows
from support.pool_material import judged, new_crop, origin
from support.station_client import PASSWORD, log_in, served, token_of

from sji_edge.pool.read import PoolReader
from sji_edge.pool.write import PoolWriter
from sji_edge.review.station import StationRequest


@pytest.fixture
def folder(tmp_path):
    with PoolWriter(tmp_path / "pool") as pool:
        pool.add(origin(), [new_crop(f"J{number}", judged(number / 10), seed=number) for number in range(6)])
    return tmp_path / "pool"


@pytest.fixture
def labels(folder, users):
    with served(StationRequest(pools=[folder]), users) as client:
        yield client


def test_a_station_of_a_pool_alone_begins_with_its_label_view(labels):
    browser = labels()
    log_in(browser, "eve", PASSWORD)
    assert browser.get("/").headers["location"] == "/label"
    assert browser.get("/verify").status_code == 404


def test_where_no_crop_is_left_the_page_is_empty(labels):
    browser = labels()
    log_in(browser, "eve", PASSWORD)
    found = browser.get("/api/label/0/crops?order=likeness&refdes=nowhere")
    assert (found.status_code, found.json()["crops"]) == (200, [])


def test_crops_are_shown_labelled_and_undone(labels, folder):
    browser = labels()
    log_in(browser, "eve", PASSWORD)
    token = {"x-csrf-token": token_of(browser, "/label")}
    page = browser.get("/api/label/0/crops?order=score&labelled=none&limit=2").json()
    assert [crop["refdes"] for crop in page["crops"]] == ["J5", "J4"]
    first = page["crops"][0]["id"]
    with PoolReader(folder) as reader:
        assert page["crops"][0]["box"] == list(astuple(reader.get(first).box))
    assert browser.get(f"/pictures/crops/0/{first}").headers["content-type"] == "image/png"
    body = {"ids": [first], "category": "bridge", "seconds": 1.0, "token": "0123456789"}
    done = browser.post("/api/label/0/labels", json=body, headers=token).json()
    assert browser.get("/api/label/0/facets").json()["labels"] == {"bridge": 1}
    assert browser.get(f"/api/label/0/alike?ids={first}").json()["crops"][0]["id"] == first
    undo = {"rows": done["rows"], "token": "0123456789"}
    assert browser.post("/api/label/0/undo", json=undo, headers=token).status_code == 200
    assert rows(folder / "pool.db", "SELECT who, what FROM decisions") == [
        ("eve", "Labelled"),
        ("eve", "Undone"),
    ]
    assert labels.failures == []


@pytest.mark.parametrize("name", ["ada", "vic"])
def test_only_an_engineer_labels(labels, folder, name):
    browser = labels()
    log_in(browser, name, PASSWORD)
    token = {"x-csrf-token": token_of(browser, "/label")}
    body = {"ids": [1], "category": "bridge", "token": "0123456789"}
    assert browser.post("/api/label/0/labels", json=body, headers=token).status_code == 403
    assert rows(folder / "pool.db", "SELECT count(*) FROM decisions") == [(0,)]


def test_strangers_see_no_crop(labels):
    for address in (
        "/api/label/0/facets",
        "/api/label/0/crops",
        "/api/label/0/alike?ids=1",
        "/pictures/crops/0/1",
    ):
        assert labels().get(address).status_code == 401


HOSTILE = [
    "order=score;DROP TABLE crops",
    "verdict=PASS'--",
    "since='; DELETE FROM decisions",
    "low=nan",
    "low=1e999",
    "after=-1",
    "after=x",
    "labelled=' OR 1=1",
    "limit=x",
]


@pytest.mark.parametrize("query", HOSTILE)
def test_a_filter_that_is_none_is_refused(labels, query):
    browser = labels()
    log_in(browser, "vic", PASSWORD)
    assert browser.get(f"/api/label/0/crops?{query}").status_code == 400
    assert labels.failures == []


@pytest.mark.parametrize("field", ["refdes", "package", "board"])
def test_a_filter_is_a_value_and_never_part_of_a_query(labels, field):
    browser = labels()
    log_in(browser, "vic", PASSWORD)
    answer = browser.get("/api/label/0/crops", params={field: "' OR '1'='1"})
    assert answer.json()["crops"] == []


def test_what_does_not_exist_is_said(labels):
    browser = labels()
    log_in(browser, "eve", PASSWORD)
    token = {"x-csrf-token": token_of(browser, "/label")}
    assert browser.get("/api/label/7/crops").status_code == 404
    assert browser.get("/pictures/crops/0/999").status_code == 400
    for ids in ([], [999], ["1"], [2**70], list(range(3000))):
        body = {"ids": ids, "category": "bridge", "token": "0123456789"}
        assert browser.post("/api/label/0/labels", json=body, headers=token).status_code == 400
    assert labels.failures == []
