"""The mailbox: the newest frame of a camera, and what happens to what is in it when it closes."""

import numpy as np

from realtime.frames import Frame
from realtime.mailbox import Ledger, Mailbox


def frame(index: int) -> Frame:
    return Frame(np.zeros((2, 2, 3), np.uint8), index, 0.0, 0)


def test_a_full_mailbox_of_a_camera_holds_the_newest_frame() -> None:
    ledger = Ledger()
    mailbox = Mailbox(True, ledger)
    assert all(mailbox.put(frame(index)) for index in range(5))
    assert ledger == Ledger(captured=4, dropped=4)
    taken = mailbox.take()
    assert taken is not None
    assert (taken.index, taken.dropped_before) == (4, 4)
    assert ledger == Ledger(captured=5, dropped=4, in_flight=1)


def test_a_closed_mailbox_takes_nothing_in_and_gives_what_is_left() -> None:
    ledger = Ledger()
    mailbox = Mailbox(False, ledger)
    mailbox.put(frame(0))
    mailbox.close()
    assert not mailbox.put(frame(1))
    taken = mailbox.take()
    assert taken is not None and taken.index == 0
    assert mailbox.take() is None
    assert ledger == Ledger(captured=1, in_flight=1)


def test_a_mailbox_closed_in_a_hurry_drops_what_is_left() -> None:
    ledger = Ledger()
    mailbox = Mailbox(False, ledger)
    mailbox.put(frame(0))
    mailbox.close(drop=True)
    assert mailbox.take() is None
    assert ledger == Ledger(captured=1, dropped=1)
