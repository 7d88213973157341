"""How an error speaks of what a user gave."""

from pathlib import Path

from engines.errors import name_of


def test_a_path_is_named_in_one_printable_line() -> None:
    assert name_of(Path("a\nb\x00c\x1b[2J/Übung.json")) == r"a\nb\x00c\x1b[2J/Übung.json"
