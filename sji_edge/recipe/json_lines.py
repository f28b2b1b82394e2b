"""Find the line of a JSON text that holds a value."""

import json
from collections.abc import Sequence

BLANKS = " \t\r\n"


def line_of(text: str, path: Sequence[str | int]) -> int:
    """Return the line, from 1, of the value at ``path``, or of the innermost value on the way that exists.

    Args:
        text: valid JSON.
        path: keys of objects and indices of arrays; parts that name nothing are skipped.
    """
    decoder = json.JSONDecoder()
    place = _skip(text, 0)
    for part in path:
        if text[place] == "{":
            place = _member(text, place, part, decoder)
        elif text[place] == "[" and isinstance(part, int):
            place = _element(text, place, part, decoder)
    return text.count("\n", 0, place) + 1


def _skip(text: str, place: int) -> int:
    while place < len(text) and text[place] in BLANKS:
        place += 1
    return place


def _member(text: str, start: int, key: str | int, decoder: json.JSONDecoder) -> int:
    place = _skip(text, start + 1)
    while text[place] == '"':
        name, end = decoder.raw_decode(text, place)
        value = _skip(text, _skip(text, end) + 1)
        if name == key:
            return value
        place = _skip(text, _skip(text, decoder.raw_decode(text, value)[1]))
        place = _skip(text, place + 1) if text[place] == "," else place
    return start


def _element(text: str, start: int, index: int, decoder: json.JSONDecoder) -> int:
    place = _skip(text, start + 1)
    for _ in range(index):
        if text[place] == "]":
            return start
        place = _skip(text, decoder.raw_decode(text, place)[1])
        place = _skip(text, place + 1) if text[place] == "," else place
    return start if text[place] == "]" else place
