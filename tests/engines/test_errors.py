"""How an error speaks of what a user gave."""

import shlex
from pathlib import Path

import pytest

from engines.errors import in_command, name_of


def test_a_path_is_named_in_one_printable_line() -> None:
    assert name_of(Path("a\nb\x00c\x1b[2J/Übung.json")) == r"a\nb\x00c\x1b[2J/Übung.json"


@pytest.mark.parametrize("name", ["my engines", "don't", "a&b;c", "$HOME", "~", "out*", "(1)"])
def test_a_path_in_a_proposed_command_is_one_word_to_a_shell(name: str) -> None:
    assert in_command(Path(name)) != name and shlex.split(in_command(Path(name))) == [name]


@pytest.mark.parametrize("name", ["engines/built", "/home/a_b/x-1.2/pose.json", "../x@2%+=:,"])
def test_a_path_that_a_shell_takes_as_it_is_has_no_quotes(name: str) -> None:
    assert in_command(Path(name)) == name
