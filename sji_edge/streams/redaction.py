"""What may be shown of a stream's name. Credentials never reach a log or a record."""

import re

HIDDEN = "***"
MARKS = re.compile(r"[?#=]")
BROKEN_URL = re.compile(r":[^@]*@")


def redact(text: str) -> str:
    """Return a stream's name without what may be a secret.

    Of a URL the scheme, the host and the path stay. User and password, the query, the fragment and whatever
    follows an equals sign in the path are hidden, since cameras take passwords in all of these places. Where a
    raw password leaves open what is host and what is secret, everything behind the scheme is hidden. A folder
    or a device is shown as it is.

    >>> redact("rtsp://admin:secret@10.0.0.7/live?channel=1")
    'rtsp://***@10.0.0.7/live?***'
    """
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
