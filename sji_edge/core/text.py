"""Text for people: counts, file names, and other libraries' errors on one line."""

import re
import unicodedata
from collections.abc import Sequence

MAX_MESSAGE = 200


def amount(count: int, noun: str) -> str:
    """Return ``1 board`` or ``2 boards``; for nouns whose plural ends in s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def readable(name: str) -> str:
    r"""Return foreign text (a file name, a refdes) so that it can be written anywhere, on one line.

    Control characters, line separators, invisible and direction-changing characters, and bytes that are not text
    are escaped (``\x1b``, ``\u202e``, ``\udcff``): a name cannot forge a line of a log.
    """
    if name.isascii() and name.isprintable():
        return name
    return "".join(_escaped(char) if is_control(char) else char for char in name)


def is_control(char: str) -> bool:
    """Tell whether a character must be escaped before it is shown: Unicode categories C* and line separators."""
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _escaped(char: str) -> str:
    return char.encode("ascii", "backslashreplace").decode() if ord(char) > 0x7F else f"\\x{ord(char):02x}"


def natural_key(name: str) -> tuple[tuple[int, str, int], ...]:
    """Sort key that puts ``board2`` before ``board10``; ties are broken by the name itself."""
    parts = re.split(r"([0-9]+)", name)
    return (*((1, "", int(part)) if part.isdecimal() else (0, part, 0) for part in parts), (0, name, 0))


def listing(names: Sequence[str], most: int = 5) -> str:
    """Join names with commas, at most ``most`` of them and then a count: ``a, b and 3 more``."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def one_line(error: BaseException) -> str:
    """Return another library's error text on one line of limited length; the name of its type if it has no text."""
    return shortened(readable(" ".join(str(error).split())) or type(error).__name__)


def shortened(text: str) -> str:
    """Return text of limited length."""
    return text if len(text) <= MAX_MESSAGE else text[:MAX_MESSAGE] + " …"
