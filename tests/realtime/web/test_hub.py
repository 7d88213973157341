"""Pictures go only to those who are ready, rows and keys wait in bounded queues, and nobody keeps the loop waiting."""

import json

import numpy as np

from realtime.results import frame_row
from realtime.web.hub import MOST_KEYS, MOST_ROWS, Hub, Listener, Viewer, line
from tests.realtime.fakes import result_of

PICTURE = np.zeros((2, 2, 3), np.uint8)


def nothing() -> None: ...


def offered(hub: Hub, frame: int) -> None:
    hub.offer(PICTURE, {"frame": frame})


def taken(hub: Hub) -> object:
    offer = hub.take_offer()
    return offer and offer.words["frame"]


def test_nobody_wants_a_picture_until_somebody_looks() -> None:
    hub, viewer = Hub(), Viewer(nothing)
    offered(hub, 0)
    assert not hub.wanted and taken(hub) is None
    hub.join(viewer)
    assert hub.wanted
    hub.leave(viewer)
    assert not hub.wanted


def test_the_newest_picture_takes_the_place_of_an_older_one() -> None:
    hub = Hub()
    hub.join(Viewer(nothing))
    for frame in range(5):
        offered(hub, frame)
    assert (taken(hub), taken(hub)) == (4, None)


def test_a_viewer_who_has_not_received_its_last_picture_gets_none_and_wants_none() -> None:
    hub, viewer = Hub(), Viewer(nothing)
    hub.join(viewer)
    hub.deliver(b"first")
    assert hub.taken(viewer) == b"first"
    assert not hub.wanted
    hub.deliver(b"late")
    assert (hub.taken(viewer), viewer.given) == (None, 1)
    hub.seen(viewer)
    assert hub.wanted
    hub.deliver(b"again")
    assert hub.taken(viewer) == b"again"


def test_a_picture_that_nobody_is_ready_for_is_given_up_and_not_kept() -> None:
    hub, viewer = Hub(), Viewer(nothing)
    hub.join(viewer)
    offered(hub, 0)
    hub.deliver(b"x")
    assert taken(hub) is None
    hub.seen(viewer)
    assert taken(hub) is None


def test_who_claims_to_have_received_what_was_not_sent_only_loses_it() -> None:
    hub, viewer = Hub(), Viewer(nothing)
    hub.join(viewer)
    for message in (b"old", b"new", b"newest"):
        hub.deliver(message)
        hub.seen(viewer)
    assert (hub.taken(viewer), hub.taken(viewer)) == (b"newest", None)
    for _ in range(10):
        hub.seen(viewer)
    hub.deliver(b"x")
    assert not hub.wanted


def test_one_who_stalls_takes_no_picture_from_one_who_does_not() -> None:
    hub, stalled, quick = Hub(), Viewer(nothing), Viewer(nothing)
    hub.join(stalled)
    hub.join(quick)
    for index in range(100):
        hub.deliver(b"%d" % index)
        assert hub.taken(quick) == b"%d" % index
        hub.seen(quick)
    assert (quick.given, stalled.given) == (100, 1)


def test_rows_are_the_results_files_rows_and_the_session_row_comes_first() -> None:
    hub, listener = Hub(), Listener(nothing)
    session: dict[str, object] = {"type": "session", "source": "Árvore"}
    hub.begin(session)
    hub.publish(result_of(0))
    hub.join(listener)
    hub.publish(result_of(1))
    hub.publish({"type": "summary"})
    hub.spread_rows()
    rows = []
    while (row := hub.taken_row(listener)) is not None:
        rows.append(row)
    assert rows == [line(session), line(frame_row(result_of(1))), line({"type": "summary"})]
    assert json.loads(rows[0])["source"] == "Árvore"


def test_who_listens_before_the_session_begins_gets_its_row_too() -> None:
    hub, listener = Hub(), Listener(nothing)
    hub.join(listener)
    assert hub.taken_row(listener) is None
    hub.begin({"type": "session"})
    assert hub.taken_row(listener) == '{"type": "session"}'


def test_one_who_does_not_read_keeps_only_the_newest_rows() -> None:
    hub, stalled, quick = Hub(), Listener(nothing), Listener(nothing)
    hub.join(stalled)
    hub.join(quick)
    read = 0
    for frame in range(3 * MOST_ROWS):
        hub.publish(result_of(frame))
        hub.spread_rows()
        while hub.taken_row(quick):
            read += 1
    assert (read, len(stalled.waiting)) == (3 * MOST_ROWS, MOST_ROWS)
    assert json.loads(hub.taken_row(stalled) or "")["frame"] == 2 * MOST_ROWS


def test_rows_that_the_server_does_not_fetch_do_not_pile_up() -> None:
    hub, listener = Hub(), Listener(nothing)
    hub.join(listener)
    for frame in range(3 * MOST_ROWS):
        hub.publish(result_of(frame))
    hub.spread_rows()
    assert len(listener.waiting) == MOST_ROWS


def test_keys_come_in_order_once_and_do_not_pile_up() -> None:
    hub = Hub()
    for key in b"hm":
        hub.press(key)
    assert (hub.keys(), hub.keys()) == ([*b"hm"], [])
    for key in range(1000):
        hub.press(key)
    assert hub.keys() == list(range(1000 - MOST_KEYS, 1000))
