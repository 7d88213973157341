"""Tones and speech: through what the system has; whatever is missing or fails is no error."""

import wave
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from realtime.sound import RATE, TONES, Silence, Sound, samples


class FakeProcess:
    """A program that has ended with a code, or still runs (None)."""

    def __init__(self, code: int | None = 0) -> None:
        self.returncode = code
        self.killed = False

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self.returncode = self.returncode or 0
        return self.returncode

    def kill(self) -> None:
        self.killed = True


class Machine:
    """A system with some programs, which notes what is started."""

    def __init__(self, *programs: str, code: int | None = 0) -> None:
        self.programs, self.code = programs, code
        self.started: list[list[str]] = []
        self.waves: list[bool] = []

    def find(self, name: str) -> str | None:
        return f"/usr/bin/{name}" if name in self.programs else None

    def start(self, command: Sequence[str]) -> FakeProcess:
        self.started.append(list(command))
        self.waves.append(Path(command[-1]).is_file())
        return FakeProcess(self.code)

    def sound(self) -> Sound:
        return Sound(find=self.find, start=self.start)  # type: ignore[arg-type]


def test_an_events_tone_is_played_by_the_first_player_that_is_there() -> None:
    machine = Machine("aplay", "afplay")
    with machine.sound() as sound:
        sound.play("entered")
        sound.play("held")
    assert [command[:2] for command in machine.started] == [["aplay", "-q"]] * 2
    assert machine.waves == [True, True]
    assert [Path(command[-1]).stem for command in machine.started] == ["entered", "held"]


def test_the_tones_are_gone_when_the_session_ends() -> None:
    machine = Machine("aplay")
    with machine.sound() as sound:
        sound.play("done")
    assert not Path(machine.started[0][-1]).parent.exists()


def test_what_is_no_event_plays_nothing_and_no_words_say_nothing() -> None:
    machine = Machine("aplay", "espeak")
    with machine.sound() as sound:
        sound.play("")
        sound.say("")
    assert machine.started == []


def test_words_are_spoken_by_the_systems_engine() -> None:
    machine = Machine("espeak-ng", "espeak")
    with machine.sound() as sound:
        sound.say("Step back")
    assert machine.started == [["espeak-ng", "Step back"]]


def test_a_system_with_neither_is_no_error_and_it_is_said_what_is_missing() -> None:
    machine = Machine()
    with machine.sound() as sound:
        sound.play("held")
        sound.say("Step back")
    assert machine.started == []
    assert "no tones (paplay" in sound.problem and "no speech (spd-say" in sound.problem


def test_nothing_is_missing_where_both_are_there() -> None:
    assert Machine("paplay", "say").sound().problem == ""


def test_a_player_that_finds_no_sound_device_is_not_asked_again() -> None:
    machine = Machine("aplay", code=1)
    with machine.sound() as sound:
        for _ in range(5):
            sound.play("held")
    assert len(machine.started) == 1


def test_a_sound_device_that_is_removed_is_told_of_once_and_speech_goes_on() -> None:
    machine, said = Machine("aplay", "espeak"), list[str]()
    with Sound(find=machine.find, start=machine.start, say=said.append) as sound:  # type: ignore[arg-type]
        sound.play("entered")
        machine.code = 1
        for _ in range(4):
            sound.play("held")
        machine.code = 0
        for words in ("step back", "well done"):
            sound.say(words)
    assert said == ["aplay ended with 1, perhaps the sound device is gone: the session goes on without tones"]
    assert [command[0] for command in machine.started] == ["aplay", "aplay", "espeak", "espeak"]


def test_a_player_that_hangs_is_ended_and_told_of() -> None:
    machine, said, clock = Machine("aplay", code=None), list[str](), iter([0.0, 5.0, 21.0])
    with Sound(find=machine.find, start=machine.start, say=said.append, now=lambda: next(clock)) as sound:  # type: ignore[arg-type]
        for _ in range(4):
            sound.play("held")
        assert sound._running["player"].killed  # type: ignore[attr-defined]
    assert said == ["aplay has hung for 20 s, perhaps the sound device is gone: the session goes on without tones"]
    assert len(machine.started) == 1


def test_one_sentence_is_spoken_at_a_time() -> None:
    machine = Machine("espeak", code=None)
    with machine.sound() as sound:
        sound.say("one")
        sound.say("two")
    assert machine.started == [["espeak", "one"]]


def test_a_program_that_cannot_be_started_is_no_error() -> None:
    def fails(command: Sequence[str]) -> FakeProcess:
        raise PermissionError

    start: Callable[[Sequence[str]], FakeProcess] = fails
    with Sound(find=lambda name: name, start=start) as sound:  # type: ignore[arg-type]
        sound.play("held")
        sound.say("one")
    assert sound.player is None and sound.speaker is None


@pytest.mark.parametrize("event", TONES)
def test_a_tone_is_short_and_neither_clicks_nor_clips(event: str, tmp_path: Path) -> None:
    tone = samples(TONES[event])
    assert len(tone) < RATE
    assert abs(int(tone[0])) < 200 and abs(int(tone[-1])) < 400
    assert 5000 < np.abs(tone.astype(int)).max() < 20000


def test_a_tone_is_written_as_a_wave_file() -> None:
    machine = Machine("aplay")
    lengths = []
    with machine.sound() as sound:
        sound.play("lost")
        with wave.open(machine.started[0][-1]) as file:
            lengths.append((file.getframerate(), file.getnchannels(), file.getnframes()))
    assert lengths == [(RATE, 1, len(samples(TONES["lost"])))]


def test_silence_hears_nothing() -> None:
    Silence().play("held")
    Silence().say("one")
