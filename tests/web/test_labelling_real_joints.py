"""1,000 real joints from camera frames to a dataset, labelled by keys in a real browser."""

import csv
import re
from collections import Counter

import pytest
from support.board_records import rows
from support.browser import expect, needs_chromium, station

from sji_edge.core.errors import DataError
from sji_edge.workflows.collect.collect import collect
from sji_edge.workflows.dataset.build import build_dataset

pytestmark = [pytest.mark.slow, needs_chromium]
KEYS = {"bridge": "1", "insufficient": "2", "other_defect": "9"}


def seed_of(pool, folder):
    """With ten boards most seeds leave a split without a defect; the refusal names one that does not."""
    with pytest.raises(DataError) as refusal:
        build_dataset([pool], folder / "none", seed=20)
    return int(re.findall(r"seed (\d+)", refusal.value.hint)[-1])


def test_keys_in_the_browser_label_every_joint_as_the_truth_says(page, real_boards, tmp_path):
    folder, pool = real_boards.parent / "training-boards", tmp_path / "pool"
    collect(folder, folder, pool)
    with (folder / "truth.csv").open() as stream:
        truth = {(row["frame"], row["refdes"]): row["state"] for row in csv.DictReader(stream)}
    states = {
        crop: truth[frame, refdes]
        for crop, frame, refdes in rows(pool / "pool.db", "SELECT id, frame_name, refdes FROM crops")
    }
    assert len(states) > 990
    with station("--pool", pool) as (_, address):
        page.goto(address)
        left = len(states)
        while left:
            page.wait_for_selector(".crop")
            shown = [int(crop.get_attribute("data-id")) for crop in page.locator(".crop").all()]
            for state, key in KEYS.items():
                wanted = [crop for crop in shown if states[crop] == state]
                for number, crop in enumerate(wanted):
                    page.locator(f".crop[data-id='{crop}']").click(modifiers=["Control"] if number else [])
                if wanted:
                    expect(page.locator("#selected")).to_contain_text(f"{len(wanted)} selected")
                    page.keyboard.press(key)
                    left -= len(wanted)
                    expect(page.locator("#progress-text")).to_contain_text(f"{len(states) - left:,} of")
            good = sum(states[crop] == "normal" for crop in shown)
            if good:
                page.keyboard.press("Control+a")
                expect(page.locator("#selected")).to_contain_text(f"{good} selected")
                page.keyboard.press("g")
                left -= good
                expect(page.locator("#progress-text")).to_contain_text(f"{len(states) - left:,} of")
    built = build_dataset([pool], tmp_path / "joints", seed=seed_of(pool, tmp_path))
    with (tmp_path / "joints" / "labels.csv").open() as stream:
        classes = Counter(row["file"].split("/")[1] for row in csv.DictReader(stream))
    assert built.folder == tmp_path / "joints"
    defects = sum(state != "normal" for state in states.values())
    assert classes == {"normal": len(states) - defects, "defective": defects}
