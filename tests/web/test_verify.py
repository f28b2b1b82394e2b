"""The addresses of the view Verify, as its page uses them."""

import cv2
import numpy as np
from support.board_records import rows
from support.station_client import token_of

from sji_edge.core.protocols import JointRecord
from sji_edge.core.verdict import Verdict
from sji_edge.records.write.sqlite import SqliteSink


def first_call(browser):
    board = browser.get("/api/verify/next").json()
    return board, next(joint for joint in board["joints"] if joint["called"] and not joint["said"])


def body(shown, called, **changes):
    return {
        "source": shown["source"],
        "board": shown["id"],
        "position": called["position"],
        "what": "DefectConfirmed",
        "category": "bridge",
        "seconds": 1.25,
        "token": "0123456789abcdef",
        **changes,
    }


def test_a_call_is_answered_and_undone(station, material):
    browser = station()
    token = {"x-csrf-token": token_of(browser)}
    before = browser.get("/api/verify/queue").json()["open"]
    board, joint = first_call(browser)
    done = browser.post("/api/verify/decisions", json=body(board, joint), headers=token)
    assert done.status_code == 200
    assert done.json()["open"] == before - 1
    assert rows(material.database, "SELECT who, role, what, category, seconds FROM decisions") == [
        ("local", "engineer", "DefectConfirmed", "bridge", 1.25)
    ]
    undo = {"source": 0, "row": done.json()["row"], "token": "fedcba9876543210"}
    assert browser.post("/api/verify/undo", json=undo, headers=token).json()["open"] == before
    assert station.failures == []


def test_pictures_are_served_by_number(station):
    browser = station()
    board, joint = first_call(browser)
    here = f"{board['source']}/{board['id']}"
    for address in (
        f"boards/{here}",
        f"joints/{here}/{joint['position']}",
        f"golden/{here}/{joint['position']}",
    ):
        answer = browser.get(f"/pictures/{address}")
        assert answer.headers["content-type"] == "image/jpeg"
        assert cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR) is not None
    compared = browser.get(f"/api/verify/boards/{here}/{joint['position']}").json()
    assert compared["around"]
    assert browser.get(compared["golden"]).status_code == 200


def test_what_is_missing_is_said(station, material):
    browser = station()
    board, joint = first_call(browser)
    for picture in material.pictures.iterdir():
        picture.unlink()
    answer = browser.get(f"/pictures/joints/0/{board['id']}/{joint['position']}")
    assert answer.status_code == 404
    assert "deleted" in answer.json()["error"]
    compared = browser.get(f"/api/verify/boards/0/{board['id']}/{joint['position']}").json()
    assert (compared["joint"], compared["good"]) == (None, [])
    assert "deleted" in compared["why"]


def test_boards_that_a_line_writes_meanwhile_appear(station, material):
    browser = station()
    before = browser.get("/api/verify/queue").json()
    from support.board_records import record

    joints = (JointRecord("J1", Verdict.FAIL, 0.9, 0.4, 0.6, "bridge"),)
    with SqliteSink(material.database) as line:
        line.write(record(7, joints, utc="2027-01-01T00:00:00+00:00", verdict=Verdict.FAIL, cause=""))
    after = browser.get("/api/verify/queue").json()
    assert after["open"] == before["open"] + 1
    assert after["boards"][0]["board"] == "run-000007"


def test_wrong_requests_are_refused_and_never_an_internal_error(station):
    browser = station()
    token = {"x-csrf-token": token_of(browser)}
    board, joint = first_call(browser)
    wrong = [
        body(board, joint, position="0"),
        body(board, joint, board=2**80),
        body(board, joint, board=-1),
        body(board, joint, what="Undone"),
        body(board, joint, what="DROP TABLE"),
        body(board, joint, category="x" * 41),
        body(board, joint, category="no-such"),
        body(board, joint, seconds=-1),
        body(board, joint, token="short"),
        body(board, joint, extra=1),
        body(board, joint, board=999),
        [],
        "text",
    ]
    for one in wrong:
        assert browser.post("/api/verify/decisions", json=one, headers=token).status_code == 400, one
    assert browser.post("/api/verify/decisions", content=b"{", headers=token).status_code == 415
    deep = b'{"a":' * 20_000
    json_type = {**token, "content-type": "application/json"}
    assert browser.post("/api/verify/decisions", content=deep, headers=json_type).status_code == 400
    for address in (
        "/api/verify/next?source=x&board=1",
        "/api/verify/next?source=9&board=1",
        f"/api/verify/boards/0/{10**30}",
    ):
        assert browser.get(address).status_code == 400, address
    assert station.failures == []
