"""Build a loss from its name and options, as a command line or a card gives them."""

import inspect
from collections.abc import Mapping, Sequence

from sji_edge.core.errors import UsageError
from sji_edge.core.registry import nearest
from sji_edge.losses import LOSSES
from sji_edge.losses.joint_loss import JointLoss

Option = float | bool | str


def build_loss(name: str, options: Mapping[str, Option]) -> JointLoss:
    """Return a registered loss.

    Raises:
        UsageError: the loss is unknown, does not have the option, or does not accept its value.
    """
    kind = LOSSES.get(name)
    known = option_names(name)
    for option in options:
        if option not in known:
            raise UsageError(
                f"loss {name} has no option {option!r}",
                hint=nearest(option, known) if known else "it has no options",
            )
    try:
        loss: JointLoss = kind(**options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"loss {name}: {error}") from error
    return loss


def option_names(name: str) -> list[str]:
    """Return the names of a registered loss's options."""
    return [option for option in inspect.signature(LOSSES.get(name).__init__).parameters if _is_named(option)]


def parse_options(words: Sequence[str]) -> dict[str, Option]:
    """Read ``key=value`` words: numbers, ``true`` and ``false``, and anything else as text.

    Raises:
        UsageError: a word has no ``=``, or a key is repeated.
    """
    options: dict[str, Option] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals and value):
            raise UsageError(f"loss option {word!r} must be key=value", hint="for example: gamma=2")
        if key in options:
            raise UsageError(f"loss option {key!r} is repeated")
        options[key.replace("-", "_")] = _value(value)
    return options


def _is_named(option: str) -> bool:
    return option not in ("self", "args", "kwargs")


def _value(text: str) -> Option:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return float(text)
    except ValueError:
        return text
