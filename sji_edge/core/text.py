"""Text for people: counts, file names, and other libraries' errors on one line."""

MAX_MESSAGE = 200


def amount(count: int, noun: str) -> str:
    """Return ``1 board``, ``2 boards``; for nouns whose plural ends in s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def readable(name: str) -> str:
    """Return a file name as text that can be written anywhere; a byte that is no text is spelt out (``udcff``)."""
    return name.encode("utf-8", "backslashreplace").decode()


def one_line(error: BaseException) -> str:
    """Return another library's error text on one line of bounded length; its type's name where it says nothing."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= MAX_MESSAGE else text[:MAX_MESSAGE] + " …"
