from sji_edge.core.text import amount, listing, natural_key, readable


def test_only_one_is_singular():
    said = [amount(count, "board") for count in (0, 1, 2, 11)]
    assert said == ["0 boards", "1 board", "2 boards", "11 boards"]


def test_a_name_cannot_forge_a_line_or_colour_a_terminal():
    forged = "a.png\r\nPASS  board99\x1b[2J\x9b2J\u2028\u202egpj\udcff"
    assert readable(forged) == r"a.png\x0d\x0aPASS  board99\x1b[2J\x9b2J\u2028\u202egpj\udcff"
    readable(forged).encode()


def test_text_of_any_language_stays_as_it_is():
    for name in ("board 01.png", "Prüfling_µ.png", "基板.png", "плата"):
        assert readable(name) == name


def test_numbers_in_names_sort_by_value():
    names = ["board10", "board2", "board02", "10", "9a", "a", "board2b"]
    assert sorted(names, key=natural_key) == ["9a", "10", "a", "board02", "board2", "board2b", "board10"]


def test_a_long_list_ends_with_a_count():
    assert listing(["a", "b"], 2) == "a, b"
    assert listing(["a", "b", "c", "d"], 2) == "a, b and 2 more"
