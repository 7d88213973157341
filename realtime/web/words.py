"""What the page is told with each picture, and what it may say in return. Knows no network and draws nothing."""

import json
import struct

from realtime.gauges import whole_score
from realtime.overlay import View
from realtime.results import FrameResult
from realtime.web.hub import Words

KEYS_TAKEN = frozenset("hlmoncrpq ")
"""The window's keys. Esc and Tab are the browser's own: they leave full screen and move between buttons."""

LENGTH = struct.Struct(">I")


def page_words(view: View, result: FrameResult) -> Words:
    """What the overlay says, as values of JSON: for screens on which the picture is small, and for readers aloud."""
    hold = view.hold
    return {
        "frame": result.frame,
        "status": result.status,
        "phase": result.phase,
        "target": view.title,
        "score": None if view.score is None else whole_score(view.score, view.pass_score),
        "pass_score": view.pass_score,
        "moves": [move.words.capitalize() for move in view.moves],
        "hint": view.hint,
        "cue": view.cue,
        "countdown": view.countdown,
        "hold": hold.share if hold else 0.0,
        "inside": hold.inside if hold else "",
        "lines": list(hold.lines) if hold else [],
    }


def packed(words: Words, jpeg: bytes) -> bytes:
    """One message: the length of the words (4 bytes, big-endian), the words as JSON in UTF-8, the picture as JPEG."""
    text = json.dumps(words, ensure_ascii=False).encode()
    return LENGTH.pack(len(text)) + text + jpeg


def unpacked(message: bytes) -> tuple[dict[str, object], bytes]:
    """The words and the JPEG of a message."""
    start = LENGTH.size
    (length,) = LENGTH.unpack_from(message)
    words: dict[str, object] = json.loads(message[start : start + length])
    return words, message[start + length :]


def said(text: str) -> str | None:
    """What a page's message says: a key as one letter, or an empty text for a picture that was shown.

    None when it says neither: `{"key": "h"}` and `{"seen": true}` are all that is understood.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if message == {"seen": True}:
        return ""
    key = message.get("key") if isinstance(message, dict) and len(message) == 1 else None
    return key if isinstance(key, str) and key in KEYS_TAKEN else None
