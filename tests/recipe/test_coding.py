import pytest

from sji_edge.recipe.coding import coding_fault, decode_table

TEXT = "Ref,Val\nR1,100 µ\n"


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_unicode_is_decoded_with_certainty(coding):
    assert decode_table(TEXT.encode(coding)) == (TEXT, True)


def test_another_coding_is_uncertain_but_keeps_ascii():
    text, sure = decode_table(TEXT.encode("cp1252"))
    assert not sure
    assert text.startswith("Ref,Val\nR1,100 ")


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xfe", b"\xff\xfea", b"\0", bytes(range(256))])
def test_no_bytes_make_it_fail(data):
    decode_table(data)


def test_a_fault_names_the_coding_and_the_line():
    assert coding_fault(TEXT.encode()) == coding_fault(TEXT.encode("utf-8-sig")) == ""
    assert coding_fault(TEXT.encode("utf-16")).startswith("UTF-16 text")
    assert coding_fault(TEXT.encode("cp1252")).startswith(
        "not UTF-8 text (byte 0xb5 on line 2, perhaps Windows-1252)"
    )
