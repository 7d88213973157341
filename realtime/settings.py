"""Settings from a TOML file: the long options by name; what the command line says itself comes first."""

import argparse
import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path

from engines.errors import BadInputError, name_of
from engines.options import file_path

OPTION = "--settings"
NOT_SETTINGS = ("help", "version", "settings")
LONGEST_REASONED = 60


def with_settings(parser: argparse.ArgumentParser, argv: Sequence[str]) -> list[str]:
    """The command line with the options of its `--settings` file put before it, where later ones win.

    A file's `target` (or another of a group of which only one may be given) gives way to the command line's `routine`.

    Raises:
        BadInputError: the file cannot be read, names an option that is unknown, or has a value that does not fit.
    """
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    finder.add_argument(OPTION, type=file_path)
    try:
        path = finder.parse_known_args(argv)[0].settings
    except argparse.ArgumentError:  # the parser itself says what is wrong
        return list(argv)
    if path is None:
        return list(argv)
    given = {word.split("=")[0] for word in argv if word.startswith("--")}
    words: list[str] = []
    for key, value in read_settings(path).items():
        action = action_of(parser, key, path)
        if not gives_way(parser, action, given):
            words += words_of(action, value, f"{name_of(path)}: {key}")
    return [*words, *argv]


def read_settings(path: Path) -> dict[str, object]:
    """The file's keys and values."""
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        repr(settings)  # hexadecimal numbers that no error could show are refused here
        return settings
    except OSError as error:
        seen = f"could not be read ({error.strerror})"
    except UnicodeDecodeError:
        seen = "is not UTF-8 text"
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        seen = "holds a number of too many digits" if "integer string" in str(error) else f"is not TOML ({error})"
    raise BadInputError(
        f"{name_of(path)} {seen}", "a settings file has lines such as mirror = true", "correct it, or give another file"
    )


def options_of(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Every long option by its name in a settings file."""
    names = {
        option.removeprefix("--").replace("-", "_"): action
        for action in parser._actions
        for option in action.option_strings
        if option.startswith("--")
    }
    return {name: action for name, action in names.items() if name not in NOT_SETTINGS}


def action_of(parser: argparse.ArgumentParser, key: str, path: Path) -> argparse.Action:
    """The option that a key names."""
    known = options_of(parser)
    name = key.replace("-", "_")
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    raise BadInputError(
        f"{name_of(path)} has the unknown key {key!a:.60}",
        f"the keys are {', '.join(known)}",
        f"rename it to {close[0]}" if close else "take it out",
    )


def gives_way(parser: argparse.ArgumentParser, action: argparse.Action, given: set[str]) -> bool:
    """Whether the command line names an option that excludes this one."""
    return any(
        action in group._group_actions and any(given & set(other.option_strings) for other in group._group_actions)
        for group in parser._mutually_exclusive_groups
    )


def words_of(action: argparse.Action, value: object, where: str) -> list[str]:
    """The words of the command line that a value stands for."""
    option = action.option_strings[-1]
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise BadInputError(f"{where} is {value!a:.60}", "it is true or false", "correct that value")
        return [option] if value else []
    if action.nargs == "?" and isinstance(value, bool):
        return [option] if value else []
    if isinstance(value, list):
        if isinstance(action, argparse._AppendAction):
            return [word for one in value for word in words_of(action, one, where)]
        if action.dest != "ignore":
            raise BadInputError(f"{where} is {value!a:.60}", "it is one value", "take out the brackets")
        value = ",".join(str(one) for one in value)
    allowed = ", ".join(str(one) for one in action.choices or ())
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadInputError(
            f"{where} is {value!a:.60}",
            f"{allowed} are allowed" if allowed else "it is a text or a number",
            "give one of them in quotes" if allowed else "correct that value",
        )
    text = str(value)
    try:
        checked = action.type(text) if callable(action.type) else text
    except (argparse.ArgumentTypeError, ValueError) as error:
        reason = f" ({error})" if len(text) <= LONGEST_REASONED else ""  # a reason repeats the whole value
        raise BadInputError(f"{where} is {value!a:.60}", f"{option} does not take it{reason}", "correct it") from error
    if allowed and checked not in (action.choices or ()):
        raise BadInputError(f"{where} is {value!a:.60}", f"{allowed} are allowed", "correct that value")
    return [f"{option}={text}"]
