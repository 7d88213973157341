"""Output paths: what cannot be written is refused before any work is done, with what is wrong and what to do."""

import os
from pathlib import Path

import pytest

from engines.errors import BadInputError
from engines.output_paths import require_ending, require_writable
from tests.realtime.fakes import without_rights


def test_a_folder_without_rights_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    with without_rights(folder), pytest.raises(BadInputError, match="cannot be written"):
        require_writable(folder / "out.mp4", "--record")


def test_an_empty_name_is_no_file() -> None:
    with pytest.raises(BadInputError, match=r"--results \. cannot be written: it is a folder"):
        require_writable(Path(), "--results")


@pytest.mark.parametrize(("name", "said"), [("old", r"that file is read-only; .*chmod u\+w"), ("new", "its folder is")])
def test_read_only_places_are_told_of_as_such(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, said: str
) -> None:
    """Root may write anywhere, and pytest's folder is closed to everybody else: the rights are made up."""
    (tmp_path / "old").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    with pytest.raises(BadInputError, match=said):
        require_writable(tmp_path / name, "--results")


def test_an_output_may_not_be_another_file_of_the_run(tmp_path: Path) -> None:
    clip, link, hard = tmp_path / "clip.mp4", tmp_path / "link.mp4", tmp_path / "hard.mp4"
    clip.touch()
    link.symlink_to(clip)
    hard.hardlink_to(clip)
    for path in (clip, link, hard, tmp_path / "x" / ".." / "clip.mp4"):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(BadInputError, match="would overwrite"):
            require_writable(path, "--record", apart_from=["0", str(clip)])
    require_writable(tmp_path / "other.mp4", "--record", apart_from=["0", str(clip), "rtsp://host/x"])
    with pytest.raises(BadInputError, match="would overwrite"):
        require_writable(tmp_path / "new.mp4", "--record", apart_from=[tmp_path / "x" / ".." / "new.mp4"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.txt", "a.txt ends in .txt; .json is allowed; give --out .*/a.json"),
        ("a", "ends in nothing; .*a.json"),
        ("a b.txt", "a b.txt ends in .txt; .*; give --out '.*/a b.json'"),
    ],
)
def test_an_ending_that_is_not_allowed_is_told_with_one_that_is(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        require_ending(tmp_path / name, "--out", [".json"])
    require_ending(tmp_path / "a.JSON", "--out", [".json"])


def test_a_pipe_may_have_any_name_where_one_can_be_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rows")
    require_ending(tmp_path / "rows", "--results", [".jsonl"], pipes=True)
    with pytest.raises(BadInputError, match="ends in nothing"):
        require_ending(tmp_path / "rows", "--record", [".mp4"])
