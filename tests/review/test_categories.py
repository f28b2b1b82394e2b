"""The list of what people can say is a file that anybody can edit, and a wrong one says where."""

import pytest

from sji_edge.core.errors import UsageError
from sji_edge.review.categories import read_categories

GOOD = '[good]\nname = "ok"\ntitle = "Good"\nkey = "g"\n'
DEFECT = '[[defect]]\nname = "{}"\ntitle = "T"\nkey = "{}"\n'


def test_the_list_that_comes_along_is_valid_and_has_a_key_for_each():
    found = read_categories()
    assert found.good.name == "normal"
    assert len({one.key for one in found.every}) == len(found.every) >= 8


def test_an_own_list_replaces_it(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(GOOD + DEFECT.format("tombstone", "1"))
    assert read_categories(path).defect_names == {"tombstone"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD, "defect"),
        (GOOD + DEFECT.format("ok", "1"), "duplicate name 'ok'"),
        (GOOD + DEFECT.format("a", "g"), "duplicate key 'g'"),
        (GOOD + DEFECT.format("a", "u"), "one of the station's own keys"),
        (GOOD + DEFECT.format("../etc", "1"), "defect.0.name"),
        (GOOD + DEFECT.format("a", "1") + "colour = 1\n", "unknown entry"),
    ],
)
def test_a_wrong_list_says_what_is_wrong(tmp_path, text, said):
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        read_categories(path)
