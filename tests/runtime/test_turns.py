import pytest

from sji_edge.core.errors import EngineInputError
from sji_edge.runtime.turns import State, Turns


def test_sets_take_turns_and_are_never_used_twice_at_once() -> None:
    turns = Turns(["one", "two"])
    first, second = turns.take(), turns.take()
    assert [first[1], second[1]] == ["one", "two"]
    assert turns.states == (State.BUSY, State.BUSY)
    with pytest.raises(EngineInputError, match="2 batches are under way"):
        turns.take()
    # Collected out of order: the turn is still the first one's.
    turns.give_back(second[0])
    with pytest.raises(EngineInputError, match="under way"):
        turns.take()
    turns.give_back(first[0])
    assert turns.take()[1] == "one"
    for wrong in (first[0] + 1, 2, -1):
        with pytest.raises(EngineInputError, match="collected already"):
            turns.give_back(wrong)


def test_no_set_at_all_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="no set"):
        Turns([])


def test_sets_that_were_let_go_take_nothing_back() -> None:
    turns = Turns(["one", "two"])
    number, _ = turns.take()
    turns.clear()
    with pytest.raises(EngineInputError, match="collected already"):
        turns.give_back(number)
