"""Tones and spoken words, through programs that the system has. No sound device, or none of them, is no error."""

import contextlib
import shutil
import subprocess
import tempfile
import time
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np

RATE = 22_050
FADE_SECONDS = 0.012
VOLUME = 0.35
TONES = {
    "entered": ((660.0, 0.10), (880.0, 0.12)),
    "held": ((880.0, 0.10), (1100.0, 0.10), (1320.0, 0.18)),
    "lost": ((440.0, 0.12), (330.0, 0.16)),
    "done": ((660.0, 0.12), (880.0, 0.12), (1100.0, 0.12), (1320.0, 0.35)),
}
"""Hz and seconds of each event's notes: up for good news, down for a lost hold."""

PLAYERS: tuple[tuple[str, ...], ...] = (("paplay",), ("pw-play",), ("aplay", "-q"), ("afplay",))
SPEAKERS: tuple[tuple[str, ...], ...] = (("spd-say", "--wait"), ("espeak-ng",), ("espeak",), ("say",))

LONGEST_SECONDS = 20.0
"""No tone and no sentence takes as long."""

Start = Callable[[Sequence[str]], "subprocess.Popen[bytes]"]


class Cues(Protocol):
    """What is heard."""

    def play(self, event: str) -> None:
        """The tone of an event (`TONES`); nothing for others."""

    def say(self, words: str) -> None:
        """Speaks; nothing for an empty text."""


class Silence:
    """Nothing is heard."""

    def play(self, event: str) -> None:
        """See `Cues`."""

    def say(self, words: str) -> None:
        """See `Cues`."""


def started(command: Sequence[str]) -> "subprocess.Popen[bytes]":
    """A program that runs beside the loop and says nothing."""
    quiet = subprocess.DEVNULL
    return subprocess.Popen(list(command), stdin=quiet, stdout=quiet, stderr=quiet)


def samples(notes: Sequence[tuple[float, float]]) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
    """Sine tones one after the other, int16, each faded in and out so that it does not click."""
    parts = []
    for hertz, seconds in notes:
        time = np.arange(round(seconds * RATE)) / RATE
        fade = np.clip(np.minimum(time, seconds - time) / FADE_SECONDS, 0, 1)
        parts.append(np.sin(2 * np.pi * hertz * time) * fade)
    return np.rint(np.concatenate(parts) * VOLUME * 32767).astype(np.int16)


def write_wave(path: Path, notes: Sequence[tuple[float, float]]) -> None:
    """Writes the tones as a mono wave file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples(notes).tobytes())


def first_found(commands: Sequence[tuple[str, ...]], find: Callable[[str], str | None]) -> tuple[str, ...] | None:
    """The first of several programs that the system has."""
    return next((command for command in commands if find(command[0])), None)


class Sound:
    """Plays and speaks through the system's programs; one tone and one sentence at a time. Use as a context manager.

    A program that fails (there is no sound device, or it was removed) is told of and not asked again.

    Args:
        find: tells where a program is, or None.
        start: starts one.
        say: tells the user of what is lost.
        now: seconds of a clock.
    """

    def __init__(
        self,
        *,
        find: Callable[[str], str | None] = shutil.which,
        start: Start = started,
        say: Callable[[str], None] = lambda sentence: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start, self._say, self._now = start, say, now
        self._since: dict[str, float] = {}
        self.player, self.speaker = first_found(PLAYERS, find), first_found(SPEAKERS, find)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def problem(self) -> str:
        """Why nothing, or not everything, will be heard; empty when all is there."""
        names = [" or ".join(command[0] for command in commands) for commands in (PLAYERS, SPEAKERS)]
        missing = [
            f"{what} ({of} is needed)"
            for what, found, of in zip(("tones", "speech"), (self.player, self.speaker), names, strict=True)
            if found is None
        ]
        return f"no {', no '.join(missing)}" if missing else ""

    def __enter__(self) -> Self:
        """Writes the tones into a folder of its own, where there is a player."""
        if self.player:
            try:
                self._folder = tempfile.TemporaryDirectory(prefix="posemirror-")
                for event, notes in TONES.items():
                    write_wave(Path(self._folder.name) / f"{event}.wav", notes)
            except OSError:  # no room for temporary files
                self.player = None
        return self

    def play(self, event: str) -> None:
        """See `Cues`."""
        if event in TONES and self.player and self._folder:
            self.player = self._run("player", self.player, str(Path(self._folder.name) / f"{event}.wav"))

    def say(self, words: str) -> None:
        """See `Cues`."""
        if words and self.speaker:
            self.speaker = self._run("speaker", self.speaker, words)

    def _run(self, role: str, command: tuple[str, ...], last: str) -> tuple[str, ...] | None:
        """Starts a program, unless its last run is not over; gives None once it has failed."""
        running, failed = self._running.get(role), ""
        if running is not None and running.poll() is None:
            if self._now() - self._since[role] < LONGEST_SECONDS:
                return command
            running.kill()
            failed = f"has hung for {LONGEST_SECONDS:.0f} s"
        elif running is not None and running.returncode:
            failed = f"ended with {running.returncode}"
        if not failed:
            try:
                self._running[role], self._since[role] = self._start([*command, last]), self._now()
                return command
            except OSError as error:
                failed = f"could not be started ({error.strerror})"
        what = "tones" if role == "player" else "speech"
        self._say(f"{command[0]} {failed}, perhaps the sound device is gone: the session goes on without {what}")
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends what still plays, and takes the folder away."""
        for process in self._running.values():
            if process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(1.0)
                if process.poll() is None:
                    process.kill()
                    process.wait()
        if self._folder:
            self._folder.cleanup()
