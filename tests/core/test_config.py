import pytest

from sji_edge.core.config import Config, expand, load_config
from sji_edge.core.errors import UsageError
from sji_edge.core.options import Options, SizePx, read_options


def test_no_file_means_no_names(tmp_path):
    assert load_config(tmp_path / "none.toml") == Config()


def test_names_are_read(tmp_path):
    path = tmp_path / "sji-edge.toml"
    path.write_text('[streams]\nline1 = "camera0?fps=30"\nline-2 = "in"\n')
    assert load_config(path).streams == {"line1": "camera0?fps=30", "line-2": "in"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[streams]\nx = ", "not valid TOML"),
        ("[streams]\nx = 3", "streams.x"),
        ('[streams]\nx = ""', "streams.x"),
        ('[streams]\n"a b" = "secretvalue"', "streams"),
        ('[stream]\nx = "secretvalue"', "stream"),
    ],
)
def test_faults_are_named_and_values_are_not(tmp_path, text, said):
    path = tmp_path / "sji-edge.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        load_config(path)
    assert "secretvalue" not in caught.value.message
    assert "secretvalue" not in repr(caught.value.__context__)


def test_variables_are_encoded_in_credentials_and_nowhere_else():
    environ = {"USER": "a b", "PASSWORD": "p@s/s:w?#d%", "HOST": "10.0.0.7:554", "PLACE": "/mnt/in put"}
    expanded = expand("rtsp://${USER}:${PASSWORD}@${HOST}/live", environ)
    assert expanded == "rtsp://a%20b:p%40s%2Fs%3Aw%3F%23d%25@10.0.0.7:554/live"
    assert expand("${PLACE}/x?watch=1", environ) == "/mnt/in put/x?watch=1"
    assert expand("http://${HOST}/a@b", environ) == "http://10.0.0.7:554/a@b"
    assert expand("no variable, $PLACE and ${ }", environ) == "no variable, $PLACE and ${ }"


def test_variables_that_are_not_set_are_named():
    with pytest.raises(UsageError, match="ONE, TWO"):
        expand("rtsp://${TWO}:${ONE}@host", {})


class Shop(Options):
    """Options of a test."""

    frame_size: SizePx = (4, 3)
    rate: float = 1.0


def test_options_are_read_by_their_written_names():
    assert read_options(Shop, {"frame-size": "640x480", "rate": "2.5"}, "a shop").frame_size == (640, 480)
    assert read_options(Shop, {}, "a shop") == Shop()


def test_all_wrong_options_are_named_at_once_without_their_values():
    with pytest.raises(UsageError) as caught:
        read_options(Shop, {"frame-size": "wide", "rate": "fast"}, "a shop")
    assert "frame-size" in caught.value.message
    assert "rate" in caught.value.message
    assert "wide" not in caught.value.message
    assert "fast" not in caught.value.message
    with pytest.raises(UsageError, match="no option 'raet'; it takes frame-size, rate") as caught:
        read_options(Shop, {"raet": "1"}, "a shop")
    assert caught.value.hint == "did you mean 'rate'?"
