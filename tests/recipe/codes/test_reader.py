import numpy as np
import pytest
from support.printed_codes import SIDE, code_frame

from sji_edge.core.errors import MissingExtraError
from sji_edge.recipe.codes.area import CodeArea, SerialRule
from sji_edge.recipe.codes.reader import CodeReader
from sji_edge.testing import FakeClock

WHOLE = {"x": SIDE / 2 - 0.5, "y": SIDE / 2 - 0.5, "width": SIDE, "height": SIDE}
TEXT = "SN00012345"


def reader(rule=None, clock=None, **area):
    return CodeReader(CodeArea(**(WHOLE | area)), rule or SerialRule(), clock or FakeClock())


def module_px(kind):
    return 1.9 if kind == "code-128" else 5.0


@pytest.mark.parametrize("kind", ["data-matrix", "qr", "code-128"])
@pytest.mark.parametrize("angle", [0, 7, 45, 90, 133, 180, 268])
def test_a_code_is_read_at_any_angle(kind, angle):
    frame = code_frame(kind, TEXT, angle_deg=angle, module_px=module_px(kind))
    assert reader().read(frame, np.eye(2, 3)).text == TEXT


@pytest.mark.parametrize("kind", ["data-matrix", "qr", "code-128"])
@pytest.mark.parametrize(("dark", "light"), [(180.0, 60.0), (90.0, 118.0)], ids=["inverted", "low contrast"])
def test_an_inverted_or_a_faint_code_is_read(kind, dark, light):
    frame = code_frame(kind, TEXT, angle_deg=12, module_px=module_px(kind), dark=dark, light=light)
    assert reader().read(frame, np.eye(2, 3)).text == TEXT


def test_the_area_is_read_where_the_aligned_frame_has_it():
    frame = code_frame("data-matrix", TEXT, module_px=4.0, at=(200.0, 110.0))
    small = {"x": 150.0, "y": 100.0, "width": 90.0, "height": 90.0}
    assert not reader(**small).read(frame, np.eye(2, 3)).text
    moved = np.array([[1.0, 0.0, 50.0], [0.0, 1.0, 10.0]])
    assert reader(**small).read(frame, moved).text == TEXT


def test_only_what_the_pattern_describes_is_a_serial_number():
    frame = code_frame("qr", TEXT)
    assert reader(SerialRule(pattern="SN[0-9]{8}")).read(frame, np.eye(2, 3)).text == TEXT
    refused = reader(SerialRule(pattern="SN[0-9]{7}")).read(frame, np.eye(2, 3))
    assert not refused.text
    assert TEXT in refused.reason


def test_two_codes_in_the_area_are_none():
    frame = code_frame("data-matrix", "SN1", at=(70.0, 70.0))
    other = code_frame("data-matrix", "SN2", at=(220.0, 220.0))
    frame[150:, :] = other[150:, :]
    assert "two codes" in reader().read(frame, np.eye(2, 3)).reason


def test_bars_that_are_seen_in_one_place_only_are_not_read():
    # Both wordings have valid check symbols; a reader that takes the first line would report one of them.
    frame = code_frame("code-128", "SN00012345", module_px=1.9)
    other = code_frame("code-128", "SN00012346", module_px=1.9)
    frame[SIDE // 2 :] = other[SIDE // 2 :]
    assert not reader().read(frame, np.eye(2, 3)).text


def test_one_strip_of_bars_does_not_confirm_itself_in_another_attempt():
    # Eight legible rows: each attempt reads one band of them, and bands of two attempts share rows.
    bars = code_frame("code-128", TEXT, module_px=1.9)
    frame = np.full_like(bars, np.median(bars))
    frame[138:146] = bars[138:146]
    reading = reader().read(frame, np.eye(2, 3))
    assert not reading.text
    assert "not surely enough" in reading.reason


def test_no_attempt_begins_after_the_budget():
    flat = np.random.default_rng(0).integers(80, 100, (SIDE, SIDE), dtype=np.uint8)
    unhurried = reader(clock=FakeClock(step_s=0.001), budget_ms=10_000).read(flat, np.eye(2, 3))
    assert unhurried.reason == "no code was read in 13 attempts"
    hurried = reader(clock=FakeClock(step_s=0.001), budget_ms=3).read(flat, np.eye(2, 3))
    assert hurried.reason == "no code was read in 3 attempts"


def test_without_the_extra_the_error_names_it(monkeypatch):
    find = __import__("importlib.util").util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *rest: None if name == "zxingcpp" else find(name, *rest)
    )
    with pytest.raises(MissingExtraError, match="reading codes needs zxingcpp") as caught:
        reader()
    assert caught.value.hint == "pip install 'sji-edge[codes]'"
