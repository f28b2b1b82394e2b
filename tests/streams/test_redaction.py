import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sji_edge.core.clock import SystemClock
from sji_edge.core.errors import SjiError
from sji_edge.streams.redaction import redact, without
from sji_edge.streams.spec import SourceSpec, open_source

# Letters that no other part of the URLs has, so that finding one is a leak and no coincidence.
SECRETS = st.text("XYZ@:/?#=&%+ .~!$'()*,;ÄΩ\n", min_size=1).filter(lambda text: set(text) & set("XYZ"))
HOSTS = st.sampled_from(["camera", "10.0.0.7", "10.0.0.7:554", "[fe80::1]:8080"])
SCHEMES = st.sampled_from(["rtsp", "http", "https", "genicam", "ftp", "RTSP"])
PATHS = st.sampled_from(["", "/", "/live", "/live/1.sdp"])


def leaks(secret, shown):
    return any(letter in shown for letter in set(secret) & set("XYZ"))


@given(SCHEMES, SECRETS, HOSTS, PATHS)
def test_password_before_the_host_is_hidden_however_it_is_written(scheme, secret, host, path):
    assert not leaks(secret, redact(f"{scheme}://user:{secret}@{host}{path}"))
    assert not leaks(secret, redact(f"{scheme}://{secret}:x@{host}{path}"))


@given(SCHEMES, SECRETS, HOSTS, PATHS)
def test_query_fragment_and_values_in_the_path_are_hidden(scheme, secret, host, path):
    for text in (
        f"?password={secret}",
        f"?{secret}",
        f"#{secret}",
        f"?a=1&token={secret}&b=2",
        f";pw={secret}",
    ):
        assert not leaks(secret, redact(f"{scheme}://{host}{path}{text}"))
        assert not leaks(secret, redact(f"{scheme}://user:{secret}@{host}{path}{text}"))
    assert not leaks(secret, redact(f"{scheme}://{host}/user=admin_password={secret}_channel=1.sdp"))


@given(SECRETS)
def test_broken_urls_are_hidden_too(secret):
    for text in (f"user:{secret}@camera/live", f"rtsp:/user:{secret}@camera", f"rtsp:user:{secret}@camera"):
        assert not leaks(secret, redact(text))


@settings(deadline=None)
@given(st.one_of(SECRETS, st.sampled_from(["XYZ"])), HOSTS)
def test_neither_a_spec_nor_an_error_shows_them(secret, host):
    for text in (
        f"rtsp://user:{secret}@{host}/live",
        f"rstp://u:{secret}@{host}/live",
        f"u:{secret}@{host}/live",
    ):
        try:
            shown = repr(SourceSpec.parse(text))
        except SjiError as error:
            shown = f"{error.message} {error.hint}"
        assert not leaks(secret, shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://admin:secret@10.0.0.7:554/live?channel=1", "rtsp://***@10.0.0.7:554/live?***"),
        ("http://camera/video.mjpg", "http://camera/video.mjpg"),
        ("rtsp://camera/user=admin&pw=x", "rtsp://camera/user=***"),
        ("frames/line 1@2x/*.png", "frames/line 1@2x/*.png"),
        ("C:/frames", "C:/frames"),
        ("camera0", "camera0"),
    ],
)
def test_what_is_shown(text, shown):
    assert redact(text) == shown


@given(st.text(max_size=40) | st.text("cameradev/0:?*[]=&#@. ", max_size=40))
def test_any_text_is_a_spec_or_a_clear_error(text):
    with contextlib.suppress(SjiError):
        assert SourceSpec.parse(text).kind


def test_control_characters_are_escaped():
    assert redact("frames\nPASS board99\x1b[2J") == r"frames\x0aPASS board99\x1b[2J"


def test_secrets_are_replaced_as_they_are_and_as_a_url_spells_them():
    assert without("a p@ss b p%40ss c", ["p@ss"]) == "a *** b *** c"


@pytest.mark.parametrize("value", ["hunter2", "hunter2://x", "/no/hunter2", "camera0?pass=hunter2"])
def test_a_configured_stream_that_cannot_be_opened_does_not_show_its_value(tmp_path, value):
    config = tmp_path / "sji-edge.toml"
    config.write_text(f'[streams]\nline1 = "{value}"\nline2 = "${{SECRET}}"\n')
    for name in ("line1", "line2"):
        with pytest.raises(SjiError) as caught:
            open_source(name, SystemClock(), config=config, environ={"SECRET": value})
        chain = repr(caught.value.__cause__)
        assert "hunter2" not in caught.value.message + caught.value.hint + chain
