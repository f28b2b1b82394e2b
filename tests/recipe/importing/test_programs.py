"""Each layout program's own table of the same two parts."""

from pathlib import Path

import pytest

from sji_edge.recipe.importing.centroid import read_centroids

TABLES = Path(__file__).parents[2] / "support" / "pick_and_place"
C1, U1 = ("C1", "C0402", 12.7, -3.5, 90.0, "top"), ("U1", "SOT-23", 4.0, 5.25, 0.0, "bottom")


def read(path):
    table = read_centroids(path.read_bytes(), path.name)
    assert table.problems == ()
    return [
        (
            part.refdes,
            part.package,
            pytest.approx(part.x_mm, abs=1e-3),
            pytest.approx(part.y_mm, abs=1e-3),
            part.rotation_deg,
            part.side,
        )
        for part in table.parts
    ]


@pytest.mark.parametrize("name", ["easyeda.csv", "librepcb.csv", "diptrace.csv", "pads.csv", "allegro.csv"])
def test_a_table_of_each_program_is_read(name):
    assert read(TABLES / name) == [C1, U1]


@pytest.mark.parametrize(
    ("top", "bottom"), [("eagle.mnt", "eagle.mnb"), ("fusion_front.csv", "fusion_back.csv")]
)
def test_programs_without_a_header_write_one_file_for_each_side(top, bottom):
    assert read(TABLES / top) == [C1]
    assert read(TABLES / bottom) == [U1]


def test_a_table_that_says_nothing_of_the_side_is_refused_with_what_would_say_it():
    table = read_centroids((TABLES / "eagle.mnt").read_bytes(), "board.txt")
    assert table.parts == ()
    assert "NAME.mnb" in table.problems[0].text


@pytest.mark.parametrize("text", ["C1 12.7 -3.5\n", "some text without numbers in six words\n", ""])
def test_other_text_is_still_no_table(text):
    table = read_centroids(text.encode(), "board_front.csv")
    assert "names columns" in table.problems[0].text


def test_a_mirror_column_must_say_yes_or_no():
    text = (TABLES / "allegro.csv").read_text().replace(",YES,", ",perhaps,")
    table = read_centroids(text.encode(), "allegro.csv")
    assert [part.refdes for part in table.parts] == ["C1"]
    assert "'perhaps' is neither top nor bottom" in table.problems[0].text
