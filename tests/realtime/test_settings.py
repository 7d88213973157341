"""Settings: options by name from a TOML file; the command line comes first; whatever does not fit is one sentence."""

from pathlib import Path

import pytest

import run_live
from engines.errors import EXIT_BAD_INPUT, BadInputError
from realtime.live_options import parser
from realtime.settings import options_of, with_settings


def parsed(tmp_path: Path, content: str, *argv: str) -> dict[str, object]:
    path = tmp_path / "station.toml"
    path.write_text(content, encoding="utf-8")
    words = with_settings(parser(), ["--settings", str(path), *argv])
    return vars(parser().parse_args(words))


def test_a_file_sets_options_by_their_names(tmp_path: Path) -> None:
    content = 'target = "a.json"\nmirror = true\nmute = false\ndetect-every = 5\nreconnect_seconds = 2.5\nsource = 1\n'
    found = parsed(tmp_path, content)
    assert (found["target"], found["mirror"], found["mute"]) == (Path("a.json"), True, False)
    assert (found["detect_every"], found["reconnect_seconds"], found["source"]) == (5, 2.5, "1")


def test_a_byte_order_mark_as_windows_editors_write_is_passed_over(tmp_path: Path) -> None:
    assert parsed(tmp_path, '\ufefftarget = "a.json"\n')["target"] == Path("a.json")


def test_a_list_is_joined(tmp_path: Path) -> None:
    assert parsed(tmp_path, 'demo = true\nignore = ["legs", "head"]\n')["ignore"] == "legs,head"


def test_the_command_line_comes_first(tmp_path: Path) -> None:
    assert parsed(tmp_path, 'target = "a.json"\nsource = "1"\n', "--source", "2")["source"] == "2"


def test_a_target_of_the_file_gives_way_to_a_routine_of_the_command_line(tmp_path: Path) -> None:
    found = parsed(tmp_path, 'target = "a.json"\n', "--routine=b.json")
    assert (found["target"], found["routine"]) == (None, Path("b.json"))


def test_an_option_is_named_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    """Shortened, --settings would be taken by the parser and seen by nobody else."""
    with pytest.raises(SystemExit):
        parser().parse_args(["--target", "a.json", "--setting", "station.toml"])
    assert "--setting" in capsys.readouterr().err


def test_without_a_file_the_command_line_is_as_it_was() -> None:
    assert with_settings(parser(), ["--demo"]) == ["--demo"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("miror = true", "unknown key 'miror'.*rename it to mirror"),
        ('settings = "b.toml"', "unknown key 'settings'"),
        ("mirror = 1", "mirror is 1; it is true or false"),
        ("max_frames = 0", "max_frames is 0"),
        ("max_frames = true", "max_frames is True"),
        ('smoothing = "maybe"', "smoothing is 'maybe'; on, off are allowed"),
        ("smoothing = false", "smoothing is False; on, off are allowed; give one of them in quotes"),
        (f"max_frames = {'9' * 5000}", "holds a number of too many digits"),
        (f"max_frames = 0x{'f' * 5000}", "holds a number of too many digits"),
        (f"ignore = [0x{'f' * 5000}]", "holds a number of too many digits"),
        (f"max_frames = '{'9' * 5000}'", "max_frames is '9+; --max-frames does not take it; correct it"),
        (f"people = {'9' * 4000}", "people is 9+; --people does not take it; correct it"),
        (f"{'a' * 5000} = 1", "unknown key 'a+; "),
        ("[camera]\nsource = 1", "unknown key 'camera'"),
        ("mirror = ", "is not TOML"),
        ("a = 1\na = 2", "is not TOML"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(BadInputError, match=said) as raised:
        parsed(tmp_path, content, "--demo")
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 1000


def test_a_bad_file_ends_the_command_line_with_2_and_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_live.main(["--settings", str(tmp_path / "none.toml"), "--demo"]) == EXIT_BAD_INPUT
    stderr = capsys.readouterr().err
    assert stderr.startswith("error: ") and stderr.count("\n") == 1 and "none.toml could not be read" in stderr


def test_every_option_can_be_set_but_those_that_make_no_sense_in_a_file() -> None:
    names = options_of(parser())
    assert {"target", "mirror", "mute", "engines"} <= set(names)
    assert not {"help", "version", "settings"} & set(names)


def test_an_option_that_may_stand_alone_can_be_true(tmp_path: Path) -> None:
    assert parsed(tmp_path, "demo = true\nbenchmark = true\n")["benchmark"] == 300
    assert parsed(tmp_path, "demo = true\nbenchmark = false\n")["benchmark"] is None


def test_an_option_that_may_be_given_again_takes_a_list(tmp_path: Path) -> None:
    found = parsed(tmp_path, 'demo = true\nfail_over = ["p95_ms=60", "cpu_ms=9"]\n')
    assert found["fail_over"] == [("p95_ms", 60.0), ("cpu_ms", 9.0)]


def test_any_other_option_takes_one_value(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="take out the brackets"):
        parsed(tmp_path, 'target = ["a.json", "b.json"]\n')
