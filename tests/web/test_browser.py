"""The pages in a real browser: an operator answers with keys, an engineer labels with the mouse.

Playwright drives Debian's Chromium; where either lacks, the tests are skipped.
"""

import os
import signal
import subprocess
import sys

import pytest
from support.board_records import rows
from support.browser import WAIT_MS, expect, needs_chromium, station
from support.station_material import write_pool

pytestmark = needs_chromium


def answered(material):
    return rows(material.database, "SELECT what, category FROM decisions ORDER BY id")


def test_an_operator_answers_every_call_with_keys_and_what_was_answered_survives_kill_nine(page, material):
    with station(material.database, "--recipe", material.recipe) as (process, address):
        page.goto(address)
        expect(page.locator("#good")).to_be_enabled()
        expect(page.locator("#open")).not_to_have_text("…")
        count = int(page.inner_text("#open"))
        page.keyboard.press("1")
        expect(page.locator("#open")).to_have_text(str(count - 1))
        page.keyboard.press("u")
        expect(page.locator("#open")).to_have_text(str(count))
        assert answered(material) == [("DefectConfirmed", "bridge"), ("Undone", "")]
        for left in range(count - 1, -1, -1):
            expect(page.locator("#good")).to_be_enabled()
            page.keyboard.press("g")
            expect(page.locator("#open")).to_have_text(str(left))
        expect(page.locator("#stage")).to_contain_text("All calls are answered")
        page.click("#undo")  # the very last answer as well, by touch
        expect(page.locator("#open")).to_have_text("1")
        expect(page.locator("#good")).to_be_enabled()
        page.keyboard.press("g")
        expect(page.locator("#open")).to_have_text("0")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert answered(material)[2:] == [("DefectRejected", "")] * count + [
        ("Undone", ""),
        ("DefectRejected", ""),
    ]
    assert rows(material.database, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.slow
def test_nobody_answers_for_a_joint_whose_picture_is_not_there_yet(page, material):
    held, hold = [], [True]
    page.route("**/pictures/joints/**", lambda route: held.append(route) if hold[0] else route.continue_())
    with station(material.database, "--recipe", material.recipe) as (_, address):
        page.goto(address)
        page.wait_for_selector("#calls button")
        expect(page.locator("#good")).to_be_disabled()
        page.keyboard.press("1")
        expect(page.locator("body")).to_contain_text("the picture is not there yet")
        hold[0] = False
        for route in held:
            route.continue_()
        expect(page.locator("#good")).to_be_enabled()
        assert answered(material) == []


def test_everything_of_verify_is_reached_by_keyboard_and_by_touch(page, material):
    with station(material.database, "--recipe", material.recipe) as (_, address):
        page.goto(address)
        page.wait_for_selector("#references img")
        for key, check in (("b", "#blink[aria-pressed=true]"), ("a", "#accept[aria-pressed=true]")):
            page.keyboard.press(key)
            page.wait_for_selector(check)
        page.keyboard.press("z")
        assert "scale(2)" in page.locator("#stage .layer").get_attribute("style")
        page.keyboard.press("s")
        assert "score" in page.inner_text("#joint-head")
        page.keyboard.press("Shift+?")
        page.wait_for_selector("#help[open]")
        page.keyboard.press("Escape")
        section = page.locator("section.joint").bounding_box()
        edge = section["x"] + section["width"] + 1
        for one in page.locator(".decide button").all():
            box = one.bounding_box()
            assert box["height"] >= 44
            assert box["x"] + box["width"] <= edge
            assert box["y"] + box["height"] <= 800


def test_a_user_logs_in_and_out_with_a_real_browser(page, tmp_path):
    pytest.importorskip("argon2")
    pool, users = tmp_path / "pool", tmp_path / "users.json"
    write_pool(pool, boards=1, joints=2)
    command = [
        sys.executable,
        "-m",
        "sji_edge",
        "users",
        "add",
        "eve",
        "--users",
        str(users),
        "--password-stdin",
    ]
    subprocess.run(command, input="long enough 1\n", text=True, check=True, timeout=WAIT_MS / 1000)
    with station("--pool", pool, "--users", users) as (_, address):
        page.goto(address)
        for password, expected in (("wrong", "/login"), ("long enough 1", "/label")):
            page.fill("input[name=name]", "eve")
            page.fill("input[name=password]", password)
            page.keyboard.press("Enter")
            expect(page).to_have_url(f"{address.rstrip('/')}{expected}")
        page.wait_for_selector(".crop")
        page.click("form[action='/logout'] button")
        expect(page).to_have_url(f"{address.rstrip('/')}/login")


@pytest.mark.slow
def test_an_engineer_labels_a_rectangle_of_crops_and_takes_it_back(page, tmp_path):
    pool = tmp_path / "pool"
    write_pool(pool, boards=2, joints=8)
    with station("--pool", pool) as (_, address):
        page.goto(address)
        page.wait_for_selector(".crop svg path")  # the box, since a crop's margin may show other joints
        first, third = (page.locator(".crop").nth(number).bounding_box() for number in (0, 2))
        page.mouse.move(first["x"] + 5, first["y"] + 5)
        page.mouse.down()
        page.mouse.move(third["x"] + 20, third["y"] + 30, steps=4)
        page.mouse.up()
        assert page.inner_text("#selected").startswith("3 selected")
        page.keyboard.press("2")
        expect(page.locator("#progress-text")).to_contain_text("3 of 16")
        assert rows(pool / "pool.db", "SELECT category, count(*) FROM decisions") == [("insufficient", 3)]
        page.keyboard.press("u")
        expect(page.locator("#progress-text")).to_contain_text("0 of 16")


@pytest.mark.slow
def test_look_shows_the_live_run(page, material):
    with station(material.database, "--recipe", material.recipe) as (_, address):
        page.goto(f"{address}look")
        page.wait_for_selector("#live-picture .mark")
        page.wait_for_selector("#boards a")
        page.wait_for_selector("#pareto g")
        page.wait_for_selector("#history img")
