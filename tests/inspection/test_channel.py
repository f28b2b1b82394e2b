import threading
import time

from sji_edge.inspection.channel import Channel


def test_put_waits_for_room_and_get_for_an_item():
    channel: Channel[int] = Channel(2)
    most, taken = [], []

    def produce():
        for number in range(50):
            assert channel.put(number)
            most.append(len(channel))
        channel.close()

    thread = threading.Thread(target=produce)
    thread.start()
    while (item := channel.get()) is not None:
        taken.append(item)
    thread.join()
    assert taken == list(range(50))
    assert max(most) <= 2


def test_latest_displaces_the_oldest_and_says_which():
    channel: Channel[int] = Channel(2)
    assert [channel.put_latest(number) for number in range(4)] == [
        (True, None),
        (True, None),
        (True, 0),
        (True, 1),
    ]
    assert (channel.get(), channel.get()) == (2, 3)


def test_a_closed_channel_yields_its_items_and_accepts_none():
    channel: Channel[int] = Channel(2)
    channel.put(1)
    channel.close()
    assert not channel.put(2)
    assert channel.put_latest(2) == (False, None)
    assert not channel.ended
    assert channel.get() == 1
    assert channel.get() is None
    assert channel.ended


def test_abort_wakes_who_waits_and_gives_nothing():
    channel: Channel[int] = Channel(1)
    channel.put(1)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(channel.put(2)))
    thread.start()
    time.sleep(0.05)
    assert channel.abort() == [1]
    thread.join(5)
    assert answers == [False]
    assert channel.get() is None


def test_get_returns_after_its_timeout():
    started = time.monotonic()
    assert Channel(1).get(0.05) is None
    assert 0.04 < time.monotonic() - started < 2
