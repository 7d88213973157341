"""Arguments of the live command line that make no sense, and what it tells of itself."""

from pathlib import Path

import pytest

import run_live
from tests.realtime.fakes import rows_of
from tests.run_live.program import Fails


@pytest.mark.usefixtures("fake_engines")
@pytest.mark.parametrize(
    ("ignore", "said"), [("tail", "is no joint"), ("left_wirst", "give left_wrist"), ("legs,", "is no joint")]
)
def test_joints_that_do_not_exist_cannot_be_ignored(
    target: Path, clip: Path, fails: Fails, ignore: str, said: str
) -> None:
    assert said in fails(2, "--target", target, "--source", clip, "--headless", "--ignore", ignore)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--target", "a.json", "--demo"],
        ["--target", "a.json", "--max-frames", "0"],
        ["--target", "a.json", "--max-frames", "many"],
        ["--target", "a.json", "--target-person", "0"],
        ["--target", "a.json", "--detect-every", "-1"],
        ["--target", "a.json", "--threads", "0"],
        ["--target", "a.json", "--threads", "100000"],
        ["--target", "a.json", "--reconnect-seconds", "-1"],
        ["--target", "a.json", "--reconnect-seconds", "nan"],
        ["--target", "a.json", "--smoothing", "maybe"],
        ["--target", "a.json", "--backend", "gpu"],
        ["--target", "a.json", "--colour", "red"],
    ],
)
def test_bad_arguments_end_with_2_and_no_traceback(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_live.main(arguments)
    assert caught.value.code == 2
    stderr = capfd.readouterr().err
    assert "run_live.py: error: " in stderr and "Traceback" not in stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--targt", "a.json"], "unknown words: --targt a.json; give --target; see"),
        (["--targt=a.json"], "unknown words: --targt=a.json; give --target; see"),
        (["a.json"], "unknown words: a.json; a file or a number is given with its option; see"),
        (["--demo", "a.json"], "unknown words: a.json; a file or a number is given with its option; see"),
        (["--demo", "--qwertz"], "unknown words: --qwertz; leave them out; see"),
        (
            ["--target", "a.json", "--source", "1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg", "--mute"],
            "unknown words: 2.jpg 3.jpg 4.jpg and 1 more; --source takes one value; put a pattern, or a name with a",
        ),
        (
            ["--mute", "--target", "my", "tree.json"],
            "unknown words: tree.json; --target takes one value; put a pattern",
        ),
        (["--mute"], "one of the arguments --target --routine --capture-target --replay --demo --list-cameras is req"),
        ([], "one of the arguments --target --routine"),
    ],
)
def test_unknown_words_are_told_of_before_what_is_missing(
    arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run_live.main(arguments)
    assert caught.value.code == 2
    assert capfd.readouterr().err.startswith(f"run_live.py: error: {said}")


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "often", ""])
def test_a_bad_detect_every_is_told_that_auto_is_allowed_too(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_live.main(["--target", "a.json", f"--detect-every={text}"])
    assert caught.value.code == 2
    said = f"{text!r} is not allowed; a whole number of 1 and more, or auto, is; give auto"
    assert f"argument --detect-every: {said}" in capfd.readouterr().err


@pytest.mark.parametrize(
    "option", ["--target", "--routine", "--capture-target", "--replay", "--settings", "--results", "--record"]
)
def test_an_empty_path_is_refused_as_such_before_anything_is_opened(
    option: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run_live.main([option, "", "--headless"])
    assert caught.value.code == 2
    said = "an empty path is no file; the path of a file is allowed; give one"
    seen = capfd.readouterr()
    assert f"argument {option}: {said}" in seen.err and seen.out == ""


@pytest.mark.parametrize("option", ["--engines", "--encoder"])
def test_an_empty_name_is_not_the_default(option: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_live.main(["--demo", option, "", "--headless"])
    assert caught.value.code == 2
    assert f"argument {option}: an empty name is none; a name or path is allowed;" in capfd.readouterr().err


@pytest.mark.usefixtures("fake_engines")
def test_an_empty_ignore_ignores_nothing(tmp_path: Path, target: Path, clip: Path) -> None:
    results = tmp_path / "out.jsonl"
    given = [
        "--target",
        target,
        "--source",
        clip,
        "--headless",
        "--max-frames",
        1,
        "--results",
        results,
        "--ignore",
        "",
    ]
    assert run_live.main([str(word) for word in given]) == 0
    first, *_ = rows_of(results)
    assert first["targets"][0]["ignore"] == []  # type: ignore[index]


def test_it_tells_its_version_and_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_live.main(["--version"])
    assert caught.value.code == 0 and capsys.readouterr().out.startswith("posemirror ")
    with pytest.raises(SystemExit) as caught:
        run_live.main(["--help"])
    said = capsys.readouterr().out
    assert caught.value.code == 0
    assert all(option in said for option in ("--target", "--source", "--engines", "--results", "Exit codes"))
