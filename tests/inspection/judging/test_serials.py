"""A board's serial number on its way from the picture, the name or the scanner into the record."""

import json

import numpy as np
import pytest
from support.bright_model import MODEL, SPEC, THRESHOLDS, board_image, frame_of, open_engine, write_recipe
from support.drawn_board import rigid

from sji_edge.core.verdict import Verdict
from sji_edge.data.synthetic.codes import paint_symbol, symbol
from sji_edge.inspection.faults import Cause
from sji_edge.inspection.judging.judge import BoardJudge
from sji_edge.inspection.judging.layout import RecipeLayout
from sji_edge.inspection.judging.serials import BoardSerials, Serial
from sji_edge.recipe.board import Recipe
from sji_edge.recipe.codes.reader import CodeReader
from sji_edge.testing import FakeClock

ALL_GOOD = dict.fromkeys(("J1", "J2", "J3", "J4", "J5"), 40)
AREA = {"x": 310, "y": 400, "width": 110, "height": 110, "kinds": ["data-matrix"]}


class Said:
    def __init__(self, *serials):
        self._serials = list(serials)

    def serial_of(self, frame):
        return self._serials.pop(0)

    def close(self):
        pass


def judge_of(folder, *, outside=None, **serial):
    write_recipe(folder)
    settings = json.loads((folder / "board.json").read_text())
    settings |= {
        "name": "amplifier",
        "version": "7",
        "code": AREA,
        "serial": {"pattern": "SN[0-9]+", **serial},
    }
    (folder / "board.json").write_text(json.dumps(settings))
    recipe = Recipe.load(folder)
    rule, clock = recipe.board.serial, FakeClock()
    serials = BoardSerials(rule, outside=outside, reader=CodeReader(recipe.board.code, rule, clock))
    layout = RecipeLayout(recipe, SPEC, THRESHOLDS)
    return BoardJudge(open_engine(folder), MODEL, layout, clock, "run", serials=serials, live=False)


def picture(text="", matrix=None, greys=ALL_GOOD):
    matrix = np.eye(2, 3) if matrix is None else matrix
    image = board_image(greys, matrix)
    if text:
        scene = image.astype(np.float32)
        modules = symbol("data-matrix", text)
        turn = 5.0 * matrix[:, :2]
        middle = matrix @ (AREA["x"], AREA["y"], 1.0) - turn @ np.full(2, (len(modules) - 1) / 2)
        paint_symbol(scene, modules, np.column_stack([turn, middle]), 60, 200)
        image = np.round(scene).astype(np.uint8)
    return image


@pytest.mark.parametrize("matrix", [np.eye(2, 3), rigid(2.0, (20, -15))])
def test_the_code_is_read_where_the_board_lies_and_the_scores_stay(tmp_path, matrix):
    judgement = judge_of(tmp_path).judge(frame_of(picture("SN123", matrix)))
    record = judgement.record
    assert (record.serial, record.verdict, record.cause) == ("SN123", Verdict.PASS, "")
    assert (record.product, record.recipe_version) == ("amplifier", "7")
    assert "code" in record.latency_ns


@pytest.mark.parametrize(
    ("unreadable", "verdict", "cause"),
    [
        ("error", Verdict.ERROR, Cause.NO_SERIAL),
        ("review", Verdict.REVIEW, None),
        ("continue", Verdict.PASS, None),
    ],
)
def test_a_board_without_a_readable_code_is_what_the_recipe_says(tmp_path, unreadable, verdict, cause):
    judgement = judge_of(tmp_path, unreadable=unreadable).judge(frame_of(picture()))
    assert (judgement.record.verdict, judgement.cause) == (verdict, cause)
    assert judgement.record.serial == ""
    assert judgement.record.cause.startswith("no-serial: no code was read")


def test_review_never_softens_a_fail(tmp_path):
    judge = judge_of(tmp_path, unreadable="review")
    assert judge.judge(frame_of(picture(greys=ALL_GOOD | {"J2": 80}))).record.verdict is Verdict.FAIL


def test_what_is_known_from_outside_goes_before_the_code_and_must_fit_the_pattern(tmp_path):
    judge = judge_of(
        tmp_path, outside=Said(Serial("SN9"), Serial("X9"), Serial.missing("nothing was scanned"))
    )
    records = [judge.judge(frame_of(picture("SN123"), index)).record for index in range(3)]
    assert [record.serial for record in records] == ["SN9", "", ""]
    assert records[1].cause == "no-serial: X9 is not a serial number of this board"
    assert records[2].cause == "no-serial: nothing was scanned"


def test_a_board_that_cannot_be_aligned_keeps_its_serial_number(tmp_path):
    blank = picture("SN123")
    blank[:140] = 30
    record = judge_of(tmp_path).judge(frame_of(blank)).record
    assert record.cause.startswith("alignment")
    assert record.serial == "SN123"


def test_a_scan_belongs_to_its_frame_even_if_the_frame_is_black(tmp_path):
    judge = judge_of(tmp_path, outside=Said(Serial("SN1"), Serial("SN2")))
    records = [
        judge.judge(frame_of(pixels, index)).record
        for index, pixels in enumerate([np.zeros((520, 640), np.uint8), picture()])
    ]
    assert [(record.serial, record.verdict) for record in records] == [("SN1", "ERROR"), ("SN2", "PASS")]
