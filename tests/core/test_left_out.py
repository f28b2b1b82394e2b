from pathlib import Path

import pytest

from sji_edge.core.left_out import LeftOut, in_one_line, tally


@pytest.mark.parametrize(
    ("plural", "one"),
    [
        (".gif files", "1 .gif file"),
        ("files without a suffix", "1 file without a suffix"),
        ("hidden images", "1 hidden image"),
        ("images in sub-folders of a class folder", "1 image in sub-folders of a class folder"),
        ("sub-folders", "1 sub-folder"),
        ("entries that are not regular files", "1 entry that is not a regular file"),
        ("parts of package files", "1 part of package files"),
        ("rows of labels.csv that name no file", "1 row of labels.csv that names no file"),
    ],
)
def test_one_of_a_kind_is_counted_in_the_singular(plural, one):
    assert str(LeftOut(what=plural, count=1)) == one
    assert str(LeftOut(what=plural, count=2)) == f"2 {plural}"


def test_kinds_are_counted_with_their_first_examples():
    root = Path("data")
    found = [(".gif files", root / f"{name}.gif") for name in "dcba"] + [("sub-folders", root / "more")]
    assert in_one_line(tally(root, found)) == (
        "left out: 4 .gif files (a.gif, b.gif, c.gif, …), 1 sub-folder (more)"
    )
    assert in_one_line(()) == ""
