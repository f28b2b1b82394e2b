import logging
import time

import pytest
from support.camera_servers import LEVELS, serving
from support.stream_material import CLOCK, Reading, read_some

from sji_edge.core.errors import SourceError
from sji_edge.streams.cameras.network import take_options
from sji_edge.streams.spec import SourceSpec, open_source

USER, PASSWORD = "line", "p@s/s:w?#d"
ENCODED = "line:p%40s%2Fs%3Aw%3F%23d"


def url(server, kind="http", options="timeout=3&reconnect=0", credentials=""):
    return f"{kind.partition('-')[0]}://{credentials}127.0.0.1:{server.port}/live?{options}"


def levels(frames):
    return [round(float(frame.pixels.mean())) for frame in frames]


@pytest.mark.parametrize("kind", ["http", "http-without-length", "rtsp"])
def test_every_image_arrives_once_and_in_order(kind):
    with serving(kind) as server:
        source = open_source(url(server, kind), CLOCK)
        frames = read_some(source, 7)
        source.close()
    assert levels(frames) == pytest.approx([LEVELS[n % 3] for n in range(7)], abs=2)


@pytest.mark.parametrize("kind", ["http", "http-without-length"])
def test_image_that_is_cut_is_a_loss_and_no_frame(kind):
    with serving(kind, frames=4, cut=True) as server:
        reading = Reading(open_source(url(server, kind), CLOCK))
        assert reading.ended(3)
    assert len(reading.frames) == 3
    assert isinstance(reading.error, SourceError)
    assert "cut" in reading.error.message


@pytest.mark.parametrize("kind", ["http", "rtsp"])
def test_camera_that_falls_silent_is_lost_within_its_timeout(kind, capfd):
    with serving(kind, silent_after=3) as server:
        reading = Reading(open_source(url(server, kind, "timeout=0.5&reconnect=0"), CLOCK))
        assert reading.wait_for(lambda frames: len(frames) >= 2)
        assert reading.ended(3)
    assert isinstance(reading.error, SourceError)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["http", "rtsp"])
def test_camera_that_is_gone_and_comes_back_is_away_in_between(kind):
    with serving(kind) as server:
        source = open_source(url(server, kind, "timeout=1&reconnect=20"), CLOCK)
        reading = Reading(source)
        assert reading.wait_for(lambda frames: len(frames) >= 3)
        server.stop()
        assert reading.wait_for(lambda frames: frames[-1].away)
        server.start(server.port)
        count = len(reading.frames)
        assert reading.wait_for(lambda frames: len(frames) > count and not frames[-1].away, 10)
        source.close()
        assert reading.ended(2)
    assert reading.error is None
    frames = reading.frames
    away = [frame for frame in frames if frame.away]
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert len({frame.name for frame in frames}) == len(frames)
    assert 1 <= len(away) <= 4
    assert all(frame.pixels is None and "was lost" in frame.error + " was lost" for frame in away)
    assert all(frame.pixels is not None for frame in frames if not frame.away)


def test_camera_that_is_gone_for_good_is_a_lost_source_at_the_limit():
    with serving("http") as server:
        source = open_source(url(server, options="timeout=1&reconnect=0.8"), CLOCK)
        reading = Reading(source)
        assert reading.wait_for(lambda frames: len(frames) >= 2)
        server.stop()
        started = time.perf_counter()
        assert reading.ended(5)
        assert 0.7 < time.perf_counter() - started < 3
    assert reading.error.exit_code == 6
    assert "did not come back within 0.8 s" in reading.error.message
    assert reading.frames[-1].away


def test_close_while_away_ends_at_once():
    with serving("http") as server:
        source = open_source(url(server, options="timeout=1&reconnect=60"), CLOCK)
        reading = Reading(source)
        assert reading.wait_for(lambda frames: len(frames) >= 1)
        server.stop()
        assert reading.wait_for(lambda frames: frames[-1].away)
        source.close()
        assert reading.ended(1)
        assert reading.error is None


@pytest.mark.parametrize(("kind", "digest"), [("http", False), ("http", True), ("rtsp", False)])
def test_credentials_are_sent_and_shown_nowhere(kind, digest, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    with serving(kind, credentials=f"{USER}:{PASSWORD}", digest=digest) as server:
        source = open_source(url(server, kind, credentials=ENCODED + "@"), CLOCK)
        frames = read_some(source, 2)
        source.close()
        assert any(header for _, header in server.asked)
        texts = [frame.name for frame in frames]
        for credentials in ("", "line:wrongpassword@"):
            with pytest.raises(SourceError) as caught:
                open_source(url(server, kind, credentials=credentials), CLOCK)
            texts += [str(caught.value), caught.value.hint, repr(caught.value.__context__)]
        texts.append(repr(SourceSpec.parse(url(server, kind, credentials=ENCODED + "@"))))
    texts += [*capfd.readouterr(), caplog.text]
    for secret in (PASSWORD, ENCODED, "wrongpassword", "line:"):
        assert not any(secret in text for text in texts)


def test_our_options_leave_the_query_and_the_camera_s_own_stay():
    asked = "http://h/live?channel=1&timeout=2&x=a%20b&flag&reconnect=9"
    own = {"timeout": "2", "reconnect": "9"}
    assert take_options(asked, ("timeout", "reconnect")) == ("http://h/live?channel=1&x=a%20b&flag", own)
    assert take_options("http://h/live?timeout=2", ("timeout",)) == ("http://h/live", {"timeout": "2"})
    with serving("http") as server:
        source = open_source(url(server, options="channel=1&timeout=3"), CLOCK)
        source.close()
        assert server.asked[0][0] == "/live?channel=1"


def test_what_is_no_stream_is_an_error():
    with serving("http", frames=0) as server:
        reading = Reading(open_source(url(server), CLOCK))
        assert reading.ended(3)
        assert "lost after 0 frames" in reading.error.message
    with pytest.raises(SourceError, match="names no host"):
        open_source("http:///live", CLOCK)
