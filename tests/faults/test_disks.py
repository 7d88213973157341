"""Disks that fill up and paths that cannot be written: what was written so far stays whole."""

from pathlib import Path

import pytest

import run_live
from engines.errors import EXIT_BAD_INPUT, BadInputError
from realtime import sinks
from realtime.sinks import LEAST_FREE_BYTES, ResultsFile
from tests.faults.disks import files_of_at_most
from tests.faults.stage import Stage, StagedCamera, numbered
from tests.fixtures import the_sentence
from tests.realtime.fakes import FakeClock, as_nobody, frames_in, result_of, rows_of, valid_rows


def test_a_disk_that_fills_up_ends_the_recording_while_it_can_still_be_played(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = FakeClock()
    free = iter(range(LEAST_FREE_BYTES + 31, 0, -1))
    monkeypatch.setattr(sinks, "free_bytes", lambda folder: next(free))
    camera = StagedCamera(clock, lambda seconds, number: numbered(number))
    stage = Stage(monkeypatch, tmp_path, camera, clock, record=True)
    with pytest.raises(BadInputError, match="has only 32 MB left") as caught:
        stage.play()
    assert caught.value.exit_code == EXIT_BAD_INPUT
    monkeypatch.undo()
    assert frames_in(tmp_path / "out.mp4") == 31
    assert len(stage.results) == 31, "and the results tell of as many"
    assert stage.ledger.dropped >= 1, "the frame that could not be recorded was shown to nobody's profit"


@pytest.mark.parametrize("more", [0, 1, 700])
def test_a_row_that_does_not_fit_on_the_disk_is_taken_back_to_its_beginning(tmp_path: Path, more: int) -> None:
    path = tmp_path / "out.jsonl"
    with ResultsFile(path) as results:
        for index in range(3):
            results.write(result_of(index))
    whole = path.read_bytes()
    with (
        pytest.raises(BadInputError, match="could not be written"),
        ResultsFile(path) as results,
        files_of_at_most(len(whole) + more),
    ):
        for index in range(10):
            results.write(result_of(index))
    assert path.read_bytes() == whole
    assert len(valid_rows(whole.decode())) == 3


def test_a_full_disk_in_the_middle_of_a_run_leaves_every_row_before_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The summary has no room either: a reader of such a file takes what is there."""
    clock = FakeClock()
    camera = StagedCamera(clock, lambda seconds, number: numbered(number))
    stage = Stage(monkeypatch, tmp_path, camera, clock)
    with pytest.raises(BadInputError, match=r"--results .*out\.jsonl could not be written"), files_of_at_most(60_000):
        stage.play(whole_file=False)
    first, *frames = rows_of(tmp_path / "out.jsonl")
    assert first["type"] == "session"
    assert len(frames) > 10 and [row["frame"] for row in frames] == list(range(len(frames)))
    assert len(frames) == len(stage.results), "only the row that did not fit is missing, and nobody was told of it"


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_read_only_place_is_refused_before_anything_is_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out.jsonl"
    if kind == "file":
        path.write_text("old\n")
        path.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        with as_nobody(), pytest.raises(BadInputError, match="cannot be written") as caught:
            ResultsFile(path)
    finally:
        tmp_path.chmod(0o755)
    assert caught.value.exit_code == EXIT_BAD_INPUT
    assert not path.exists() or path.read_text() == "old\n"


def test_a_recording_without_room_is_refused_before_last_times_files_are_touched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sinks, "free_bytes", lambda folder: LEAST_FREE_BYTES - 1)
    files = {option: tmp_path / name for option, name in (("--results", "out.jsonl"), ("--record", "out.mp4"))}
    for path in files.values():
        path.write_text("yesterday\n")
    words = [word for option, path in files.items() for word in (option, str(path))]
    assert run_live.main(["--demo", "--headless", *words]) == EXIT_BAD_INPUT
    assert "its disk has only 32 MB left" in the_sentence(capsys.readouterr().err)
    assert [path.read_text() for path in files.values()] == ["yesterday\n"] * 2


def test_a_recording_that_cannot_be_opened_leaves_the_results_of_last_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    results = tmp_path / "out.jsonl"
    results.write_text("yesterday\n")
    clock = FakeClock()
    camera = StagedCamera(clock, lambda seconds, number: numbered(number))
    stage = Stage(monkeypatch, tmp_path, camera, clock, record=True)
    monkeypatch.setitem(sinks.CODECS, ".mp4", "none")
    with pytest.raises(BadInputError, match="cannot be written as none"):
        stage.play(whole_file=False)
    assert results.read_text() == "yesterday\n"
