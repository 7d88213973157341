"""Files written at once: whole or not at all, with the mode and the link that were there."""

import os
import tempfile
from pathlib import Path

import pytest

from engines.errors import BadInputError
from engines.whole_files import write_whole
from tests.faults.disks import files_of_at_most
from tests.realtime.fakes import as_nobody

OLD = "old\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "out.html"
    path.write_text(OLD)
    return path


def test_text_and_bytes_are_written_and_nothing_is_left_beside(path: Path) -> None:
    for content in ("Árvore 木", "Árvore 木".encode()):
        write_whole(path, content)
        assert path.read_text(encoding="utf-8") == "Árvore 木"
    assert list(path.parent.iterdir()) == [path]


def test_on_a_full_disk_the_old_file_stays_and_the_error_names_it(path: Path) -> None:
    with pytest.raises(BadInputError, match=r"out\.html could not be written"), files_of_at_most(1000):
        write_whole(path, "x" * 5000)
    assert path.read_text() == OLD and list(path.parent.iterdir()) == [path]


def test_a_replaced_file_keeps_its_mode_and_a_new_one_has_the_usual_one(path: Path) -> None:
    path.chmod(0o640)
    before = os.umask(0o022)
    try:
        for one in (path, path.with_name("new.html")):
            write_whole(one, "new")
    finally:
        os.umask(before)
    assert [oct(one.stat().st_mode & 0o777) for one in (path, path.with_name("new.html"))] == ["0o640", "0o644"]


def test_a_link_stays_a_link(path: Path) -> None:
    link = path.with_name("link.html")
    link.symlink_to(path.name)
    write_whole(link, "new")
    assert link.is_symlink() and path.read_text() == "new"


def test_a_name_as_long_as_a_name_may_be_is_written(tmp_path: Path) -> None:
    write_whole(tmp_path / ("x" * 255), "new")
    assert (tmp_path / ("x" * 255)).read_text() == "new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(pipe, "new")
        assert os.read(end, 100) == b"new" and pipe.is_fifo()
    finally:
        os.close(end)


def test_a_writable_file_in_a_closed_folder_is_written_in_place() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = Path(name)
        path = folder / "out.html"
        path.write_text("old")
        path.chmod(0o666)
        folder.chmod(0o555)
        with as_nobody():
            write_whole(path, "new")
            with pytest.raises(BadInputError, match="could not be written"):
                write_whole(folder / "other.html", "new")
        folder.chmod(0o755)
        assert path.read_text() == "new" and [one.name for one in folder.iterdir()] == ["out.html"]
