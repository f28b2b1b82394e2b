import pytest

from sji_edge.core.errors import EngineInputError
from sji_edge.runtime.slots import Turns


def test_sets_take_turns_and_are_never_used_twice_at_once() -> None:
    turns = Turns(["one", "two"])
    first, second = turns.take(), turns.take()
    assert [first[1], second[1]] == ["one", "two"]
    with pytest.raises(EngineInputError, match="2 batches are in flight"):
        turns.take()
    # Collected out of order: a free set is taken, whichever is next in turn.
    turns.give_back(second[0])
    assert turns.take() == second
    turns.give_back(first[0])
    turns.give_back(second[0])
    assert [turns.take()[1], turns.take()[1]] == ["one", "two"]
    turns.give_back(1)
    for wrong in (1, 2, -1):
        with pytest.raises(EngineInputError, match="collected already"):
            turns.give_back(wrong)


def test_no_set_at_all_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="at least one set"):
        Turns([])


def test_sets_that_were_let_go_take_nothing_back() -> None:
    turns = Turns(["one", "two"])
    number, _ = turns.take()
    turns.clear()
    with pytest.raises(EngineInputError, match="collected already"):
        turns.give_back(number)
