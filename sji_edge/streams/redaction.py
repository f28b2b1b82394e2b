"""Hides secrets in what is shown of a stream. Credentials never reach a log or a record."""

import re
from collections.abc import Iterable
from urllib.parse import quote

from sji_edge.core.text import readable

HIDDEN = "***"
MARKS = re.compile(r"[?#=]")
BROKEN_URL = re.compile(r":[^@]*@")


def redact(text: str) -> str:
    """Return a stream's name without anything that may be a secret, and with control characters escaped.

    A URL keeps its scheme, host and path. User and password, the query, the fragment and whatever follows an
    equals sign in the path are hidden, since cameras take passwords in all of these places. If an unescaped
    password makes it unclear which part is the host, everything after the scheme is hidden. A folder or a device is
    shown unchanged.

    >>> redact("rtsp://admin:secret@10.0.0.7/live?channel=1")
    'rtsp://***@10.0.0.7/live?***'
    """
    return readable(_redacted(text))


def without(text: str, secrets: Iterable[str]) -> str:
    """Replace each secret in a text, plain or as a URL spells it."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        for spelt in (secret, quote(secret, safe="")):
            text = text.replace(spelt, HIDDEN)
    return text


def _redacted(text: str) -> str:
    scheme, mark, rest = text.partition("://")
    if not mark:
        return text if BROKEN_URL.search(text) is None else HIDDEN
    if BROKEN_URL.search(scheme) or MARKS.search(scheme):
        return HIDDEN
    credentials, at, place = rest.rpartition("@")
    if re.search(r"[/?#=]", credentials):
        return f"{scheme}://{HIDDEN}"
    cut = MARKS.search(place)
    if cut:
        place = place[: cut.end()] + HIDDEN
    return f"{scheme}://{HIDDEN if at else ''}{at}{place}"
