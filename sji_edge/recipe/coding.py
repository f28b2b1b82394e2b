"""Decodes a table in the codings that spreadsheets and layout programs write."""

BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
FOREIGN = "windows-1252"
"""The coding used for bytes that are not UTF-8; code that uses such a cell must refuse it, see ``is_sure``."""


def decode_table(data: bytes) -> tuple[str, bool]:
    """Decode a table: UTF-8 or UTF-16, with or without a byte order mark.

    Returns:
        The text, and whether its coding is certain. If it is not, only ASCII characters can be trusted.
    """
    for mark, coding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data.decode(coding, "replace"), True
    head = data[:400]
    if head[1::2].count(0) > len(head) // 4:
        return data.decode("utf-16-le", "replace"), True
    if head[0::2].count(0) > len(head) // 4:
        return data.decode("utf-16-be", "replace"), True
    try:
        return data.decode("utf-8"), True
    except UnicodeDecodeError:
        return data.decode(FOREIGN, "replace"), False


def coding_fault(data: bytes) -> str:
    """Say which coding a table that is not UTF-8 seems to have, and where that shows; empty for UTF-8."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16 text; save it as CSV in UTF-8"
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return f"not UTF-8 text (byte 0x{data[error.start]:02x} on line {line}, perhaps Windows-1252); save it in UTF-8"
    return ""
