from sji_edge.core.text import amount


def test_one_is_said_in_the_singular_and_nothing_else_is():
    said = [amount(count, "board") for count in (0, 1, 2, 11)]
    assert said == ["0 boards", "1 board", "2 boards", "11 boards"]
