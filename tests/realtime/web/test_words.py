"""What the page is told, and what it may say."""

import re

import pytest

from realtime.advice import Move
from realtime.gauges import HoldView
from realtime.overlay import View
from realtime.web.page import FOLDER, whole_page
from realtime.web.words import KEYS_TAKEN, packed, page_words, said, unpacked
from tests.realtime.fakes import result_of


def test_a_message_is_words_and_a_picture() -> None:
    words = {"target": "木 Árvore", "score": None}
    assert unpacked(packed(words, b"\xff\xd8jpeg\xff\xd9")) == (words, b"\xff\xd8jpeg\xff\xd9")


def test_the_page_is_told_what_the_overlay_says() -> None:
    move = Move("left_wrist", "raise left arm", 40.0, (1.0, 2.0), (3.0, 4.0))
    view = View("Tree", score=71.6, pass_score=70, moves=(move,), hold=HoldView(0.4, "3", ("Pose 1 of 3",)), hint="Go")
    told = page_words(view, result_of(7, phase="hold"))
    assert told == {
        "frame": 7,
        "status": "scored",
        "phase": "hold",
        "target": "Tree",
        "score": 72,
        "pass_score": 70,
        "moves": ["Raise left arm"],
        "hint": "Go",
        "cue": "",
        "countdown": "",
        "hold": 0.4,
        "inside": "3",
        "lines": ["Pose 1 of 3"],
    }
    assert page_words(View("New"), result_of(0))["score"] is None


@pytest.mark.parametrize(("text", "word"), [('{"key": "h"}', "h"), ('{"key": " "}', " "), ('{"seen": true}', "")])
def test_a_page_says_keys_and_what_it_has_seen(text: str, word: str) -> None:
    assert said(text) == word


@pytest.mark.parametrize(
    "text",
    ["", "h", "[]", "{}", "1", "null", '{"key": "hh"}', '{"key": ""}', '{"key": "x"}', '{"key": 5}', '{"key": null}',
     '{"key": ["h"]}', '{"key": "h", "seen": true}', '{"seen": false}', '{"seen": "true"}', "[" * 1000, "{" * 1000,
     '{"key": "\\ud800"}', "NaN"],
)  # fmt: skip
def test_anything_else_is_nonsense(text: str) -> None:
    assert said(text) is None


def test_every_key_of_the_page_is_taken_and_every_key_taken_is_on_the_page() -> None:
    html = (FOLDER / "mirror.html").read_text(encoding="utf-8")
    script = (FOLDER / "mirror.js").read_text(encoding="utf-8")
    on_page = re.findall(r'data-key="(.)"', html) + re.findall(r'(?:KEYS\.add|press)\("(.)"\)', script)
    assert set(on_page) == KEYS_TAKEN


def test_the_page_is_whole_and_names_nothing_outside_it() -> None:
    page = whole_page()
    assert "mirror.css" not in page.html and "mirror.js" not in page.html
    assert "connect();" in page.html and "--good: #56b4e9" in page.html
    assert not re.findall(r"(?:src|href)=\"(?!data:)|https?://|url\(|@import|//[a-z]", page.html)
    assert "default-src 'none'" in page.policy and "unsafe" not in page.policy and "*" not in page.policy
