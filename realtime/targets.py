"""Command line: targets looked at, made from a photo or a video's frame, and changed.

python -m realtime.targets gallery FOLDER [--out GALLERY.html]
python -m realtime.targets make PHOTO|VIDEO --out TARGET.json
python -m realtime.targets edit TARGET.json --pass-score 85 --ignore legs
"""

import argparse
import contextlib
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from engines.errors import BadInputError, SourceError
from engines.exits import documented_exits, starting

with starting(__name__):
    from engines.errors import in_command, name_of
    from engines.options import OptionParser, add_version
    from engines.output_paths import PAGE_ENDINGS, require_ending, require_writable
    from engines.terminal import Terminal, saying
    from engines.whole_files import write_whole
    from realtime.file_kinds import refuse_other_kinds
    from realtime.frames import VIDEO_SUFFIXES, MonotonicClock, Picture, is_picture
    from realtime.gallery import facts, find_targets, gallery_page, gallery_table
    from realtime.live_options import DEFAULT_ENCODER, WHICH_PERSON, positive, seconds
    from realtime.opening import engines_folder, open_chain, picture_of, target_in_picture
    from realtime.pose import (
        TARGET_SUFFIX,
        Target,
        is_target,
        parse_ignore,
        read_document,
        read_target,
        target_from_object,
        target_object,
        write_target,
    )
    from realtime.sources import open_source

EVERY_JOINT = "none"
READABLE = "a photo, a video or keypoints as JSON are read"


def parser() -> argparse.ArgumentParser:
    """The three commands and their options."""
    options = OptionParser(
        prog="python -m realtime.targets",
        description="Look at targets, make one from a photo or a video's frame, change one.",
        epilog="Exit codes: 0 done, 2 bad argument or file, 4 engine unusable.",
    )
    add_version(options)
    commands = options.add_subparsers(dest="command", required=True, metavar="gallery|make|edit")

    gallery = commands.add_parser("gallery", help="list targets with thumbnails")
    gallery.add_argument("places", type=Path, nargs="+", metavar="FOLDER|FILE")
    gallery.add_argument("--out", type=Path, metavar="GALLERY.html", help="write one page to look at or to print")

    make = commands.add_parser("make", help="a target from a photo, a video's frame, or other programs' keypoints")
    make.add_argument("source", type=Path, metavar="PHOTO|VIDEO|FILE.json")
    make.add_argument("--out", type=Path, required=True, metavar="TARGET.json")
    moment = make.add_mutually_exclusive_group()
    moment.add_argument("--at", type=seconds, metavar="S", help="the video's frame at this time, in seconds")
    moment.add_argument("--frame", type=positive, metavar="N", help="the video's frame of this number, from 1")
    make.add_argument("--person", type=positive, metavar="N", help=WHICH_PERSON)
    make.add_argument(
        "--engines", metavar="DIR|quickstart", help="default: engines/built if it exists, else quickstart"
    )
    add_fields(make)

    edit = commands.add_parser("edit", help="change what a target asks for; its joints stay as they are")
    edit.add_argument("target", type=Path, metavar="TARGET.json")
    edit.add_argument("--out", type=Path, metavar="OTHER.json", help="default: the file itself")
    add_fields(edit)
    return options


def add_fields(options: argparse.ArgumentParser) -> None:
    """What a target asks for; `make` and `edit` take the same."""
    option = options.add_argument
    option("--name", metavar="TEXT")
    option("--ignore", metavar="legs|JOINT,...|none", help="joints that do not count; none: all count")
    option("--pass-score", type=float, metavar="0..100", help="a score of this and above holds the pose")
    option("--hold-seconds", type=float, metavar="S", help="how long to hold it")
    option("--score-width", type=float, metavar="W", help="smaller is stricter; 0.3 unless calibrated")
    option("--match-mirrored", choices=("yes", "no"), help="whether the mirrored pose counts too")


def changes(arguments: argparse.Namespace) -> dict[str, object]:
    """The fields of a target that the command line gives."""
    given: dict[str, object] = {
        "name": arguments.name,
        "pass_score": arguments.pass_score,
        "hold_seconds": arguments.hold_seconds,
        "score_width": arguments.score_width,
    }
    found = {name: value for name, value in given.items() if value is not None}
    if arguments.match_mirrored:
        found["match_mirrored"] = arguments.match_mirrored == "yes"
    if arguments.ignore is not None:
        found["ignore"] = list(ignored(arguments.ignore))
    return found


def ignored(text: str | None) -> tuple[str, ...]:
    """The joints that `--ignore` names."""
    return () if text in (None, EVERY_JOINT) else parse_ignore(str(text))


def changed(target: Target, fields: dict[str, object]) -> Target:
    """The target with other fields, each checked as a file's would be.

    Raises:
        BadInputError: a value does not fit, or a joint would count that is not there.
    """
    return target_from_object(target_object(target) | fields, "the new target")


def edit(arguments: argparse.Namespace, console: Terminal) -> None:
    """Changes a target file, whole or not at all."""
    fields = changes(arguments)
    if not fields:
        raise BadInputError(
            "edit came without a change",
            "--name, --ignore, --pass-score, --hold-seconds, --score-width and --match-mirrored are allowed",
            "give one, such as --pass-score 85",
        )
    source = name_of(arguments.target)
    document = read_document(arguments.target)
    if not is_target(document):
        raise BadInputError(
            f"{source} is no pose.json of posemirror",
            "only such a file is edited",
            f"run python -m realtime.targets make {in_command(arguments.target)} --out TARGET.json first",
        )
    target = changed(target_from_object(document, source), fields)
    require_writable(arguments.out or arguments.target, "--out" if arguments.out else "edit")
    if arguments.out:
        require_ending(arguments.out, "--out", [TARGET_SUFFIX])
    save(target, arguments.out or arguments.target, console)


def make(arguments: argparse.Namespace, console: Terminal) -> None:
    """Writes a target from a picture, a video's frame, or a file of keypoints."""
    require_writable(arguments.out, "--out", apart_from=[arguments.source])
    require_ending(arguments.out, "--out", [TARGET_SUFFIX])
    ignore = ignored(arguments.ignore)
    person, say = arguments.person, saying(console)
    is_json = arguments.source.suffix.lower() == ".json"
    is_moment = arguments.at is not None or arguments.frame is not None
    if is_moment and (is_json or is_picture(arguments.source)):
        raise BadInputError(
            f"--at or --frame came with {name_of(arguments.source)}", "they choose a video's frame", "leave them out"
        )
    if is_json:
        target = read_target(arguments.source, ignore=ignore, person=person, person_option="--person", say=say)
        save(changed(target, changes(arguments)), arguments.out, console)
        return
    if is_picture(arguments.source):
        image, source = picture_of(arguments.source, "target"), f"target {name_of(arguments.source)}"
    else:
        image, found = video_frame(arguments.source, arguments.at, arguments.frame)
        source = f"{name_of(arguments.source)}, {found},"
    folder = engines_folder(arguments.engines)
    chain, backend = open_chain(folder, DEFAULT_ENCODER, "onnx")
    console.print(f"Engines: {folder} on {backend}.", soft_wrap=True)
    target = target_in_picture(
        image, source, arguments.source.stem, chain, ignore=ignore, person=person, person_option="--person", say=say
    )
    save(changed(target, changes(arguments)), arguments.out, console)


def video_frame(path: Path, at: float | None, number: int | None) -> tuple[Picture, str]:
    """A video's frame at a time or of a number (from 1), uint8 [h, w, 3], and which it is, in words.

    Raises:
        BadInputError: it is no video or cannot be read, no frame is chosen, or the video is shorter.
    """
    if not path.is_file():
        raise BadInputError(f"{name_of(path)} is no file", READABLE, "check the path")
    refuse_other_kinds(path, READABLE)
    if not path.stat().st_size:
        raise BadInputError(f"{name_of(path)} is empty", READABLE, "give another file")
    try:
        source = open_source(str(path), MonotonicClock(), pace=False, reconnect_seconds=0)
    except SourceError as error:
        seen, next_step = error.seen.removeprefix("--source "), error.next_step
        if path.suffix.lower() not in VIDEO_SUFFIXES and os.access(path, os.R_OK):
            seen = f"{name_of(path)} is no video that can be decoded, and not named as a picture or JSON"
            next_step = "give such a file"
        raise BadInputError(seen, READABLE, next_step) from error
    count, last = 0, 0.0
    with contextlib.closing(source):
        if at is None and number is None:
            raise BadInputError(
                f"{name_of(path)} is a video", "one of its frames has to be chosen", "give --at SECONDS or --frame N"
            )
        while (capture := source.read(threading.Event())) is not None:
            count, last = count + 1, capture.seconds
            if count == number or (at is not None and last >= at - 1e-6):
                return capture.image, f"frame {count} at {last:.2f} s"
    raise BadInputError(
        f"{name_of(path)} has {count} frames and ends at {last:.2f} s",
        f"--at up to {last:.2f} and --frame up to {count} are allowed",
        "give another one",
    )


def save(target: Target, path: Path, console: Terminal) -> None:
    """Writes the target and says what it asks for."""
    write_target(target, path)
    console.print(f"Wrote {name_of(path)}: {target.name}, {', '.join(facts(target))}", soft_wrap=True)


def gallery(arguments: argparse.Namespace, console: Terminal) -> None:
    """Shows the targets, and writes the page."""
    entries = find_targets(arguments.places)
    if arguments.out:
        require_writable(arguments.out, "--out", apart_from=[entry.path for entry in entries])
        require_ending(arguments.out, "--out", PAGE_ENDINGS, pipes=True)
    console.print(gallery_table(entries))
    if arguments.out:
        write_whole(arguments.out, gallery_page(entries))
        console.print(f"Wrote {name_of(arguments.out)}", soft_wrap=True)


@documented_exits()
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    arguments = parser().parse_args(argv)
    {"gallery": gallery, "make": make, "edit": edit}[arguments.command](arguments, Terminal())
    return 0


if __name__ == "__main__":
    sys.exit(main())
