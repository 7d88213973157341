"""Command line that turns judged videos into pose sequences: `python -m calibration.extract finediving DIR`.

Runs the live loop's engines over every clip that the annotations in DIR name, and writes DIR/poses/VIDEO/NUMBER.npz, as
`calibration.evaluate --paper` reads them. Goes on where it was stopped. A bad video is named and the rest is done.
How the videos may lie in their folder: calibration/clip_footage.py.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from calibration.clip_footage import Footage, clip_sources, find_footage
from calibration.datasets.action_quality import ClipSet, read_aqa7, read_finediving, read_mtl_aqa
from calibration.datasets.poseset import Floats
from engines.device_chain import DeviceChain
from engines.errors import EXIT_OK, BadInputError, SourceError
from engines.execution import ChainInfo, read_chain
from engines.exits import documented_exits
from engines.options import OptionParser
from engines.whole_files import write_whole
from realtime.executor import Chain
from realtime.frames import MonotonicClock
from realtime.opening import engines_folder, open_chain, opened_executor
from realtime.pipeline import Pipeline
from realtime.sources import Source

READERS: dict[str, Callable[[Path], ClipSet]] = {
    "finediving": read_finediving,
    "mtl_aqa": read_mtl_aqa,
    "aqa7": read_aqa7,
}
RECORD = "extract.json"
ENCODER = "bones"
"""Opened with the chain, which needs one; nothing is scored here."""


def parser() -> argparse.ArgumentParser:
    """The command line of extraction."""
    line = OptionParser(prog="python -m calibration.extract", description=__doc__)
    line.add_argument("dataset", choices=READERS, help="whose annotations and layout")
    line.add_argument("folder", type=Path, help="folder with the official annotation files")
    line.add_argument("--videos", type=Path, default=None, help="folder with videos or frames (FOLDER/videos)")
    line.add_argument("--out", type=Path, default=None, help="folder for the poses (FOLDER/poses)")
    line.add_argument("--engines", default=None, help="folder of engines (engines/built, or quickstart)")
    line.add_argument("--backend", choices=("auto", "tensorrt", "onnx"), default="auto", help="what runs the engines")
    return line


def chains(folder: Path, backend: str) -> Iterator[Chain]:
    """The opened engines, again and again; on a GPU opened anew each time, since an executor closes them."""
    chain: Chain | None = None
    while True:
        if chain is None or isinstance(chain, DeviceChain):
            # in float32 everywhere: a data set's poses do not depend on the machine
            chain, _ = open_chain(folder, ENCODER, backend, int8="off")
        yield chain


def clip_joints(source: Source, chain: Chain, on_frame: Callable[[], None] = lambda: None) -> Floats:
    """Joints of the likeliest person of every frame: `float32 [F, 15, 3]`, px of the fitted frame; zeros for nobody.

    Raises:
        SourceError: a frame cannot be decoded, or frames are missing.
    """
    width, height = chain.info.frame_size
    rows = []
    with opened_executor(chain, None, detect_every=None, smoothing=True, stills=False) as executor:
        for shown in Pipeline(source, executor, (height, width), MonotonicClock()).run():
            joints = shown.result.joints
            rows.append(np.zeros((15, 3), np.float32) if joints is None else joints)
            on_frame()
    return np.stack(rows)


def poses_file(out: Path, name: str) -> Path:
    """Where the poses of a clip lie."""
    return out / f"{name}.npz"


def write_poses(path: Path, joints: Floats) -> None:
    """The file of a clip, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        np.savez_compressed(file, joints=joints)
    unfinished.replace(path)


def require_same_engines(out: Path, info: ChainInfo) -> None:
    """Writes down which engines make these poses; poses of two pose networks are never mixed in one folder.

    Raises:
        BadInputError: the folder was begun with other engines.
    """
    ours = {name: info.manifests[name].graph_sha256 for name in ("detect", "pose")}
    record = out / RECORD
    if record.is_file():
        try:
            theirs = json.loads(record.read_text(encoding="utf-8"))["engines"]
        except (ValueError, KeyError, TypeError):
            theirs = None
        if theirs != ours:
            raise BadInputError(
                f"the poses in {out} were begun with other engines than those in {info.directory}",
                "all poses of a folder must come from the same engines",
                "give the same --engines, or another --out",
            )
    else:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(record, json.dumps({"engines": ours}, indent=1) + "\n")


def decoded_together(clip: Footage) -> tuple[Path, str]:
    """Equal for clips of one video, which are decoded in one go; pictures in folders stand for themselves."""
    return clip.path, clip.name if clip.path.is_dir() else ""


def extract(footage: list[Footage], out: Path, engines: Iterator[Chain], console: Console) -> dict[str, str]:
    """Writes the poses of every clip that has none yet; returns why for each clip that could not be read."""
    bad: dict[str, str] = {}
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("clips", total=len(footage))
        frames = progress.add_task("frames", total=None)
        waiting = [clip for clip in footage if not poses_file(out, clip.name).is_file()]
        progress.update(bar, completed=len(footage) - len(waiting))
        for _, group in groupby(sorted(waiting, key=decoded_together), key=decoded_together):
            clips = list(group)
            left = {clip.name for clip in clips}
            try:
                for clip, source in clip_sources(clips):
                    progress.reset(frames, description=clip.name)
                    joints = clip_joints(source, next(engines), lambda: progress.advance(frames))
                    write_poses(poses_file(out, clip.name), joints)
                    left.discard(clip.name)
                    progress.advance(bar)
                    if not joints.any():
                        progress.console.print(f"{clip.name}: nobody was seen")
            except SourceError as error:
                progress.console.print(str(error), highlight=False, soft_wrap=True)
                bad |= dict.fromkeys(left, str(error))
    return bad


@documented_exits("stopped; the same command goes on")
def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 also where some videos were bad, after the rest is done."""
    options = parser().parse_args(arguments)
    videos, out = options.videos or options.folder / "videos", options.out or options.folder / "poses"
    clips = READERS[options.dataset](options.folder).clips
    found = [(clip, find_footage(clip, videos)) for clip in clips]
    footage = [place for _, place in found if place is not None]
    missing = [clip.name for clip, place in found if place is None]
    if not footage:
        raise BadInputError(
            f"no clip of {options.dataset} is in {videos}",
            f"videos or folders of frames named as the clips are, such as {clips[0].name}",
            "give their folder with --videos",
        )
    console = Console()
    engines = engines_folder(options.engines)
    require_same_engines(out, read_chain(engines, ENCODER))
    bad = extract(footage, out, chains(engines, options.backend), console)
    said = [f"{len(footage) - len(bad)} of {len(clips)} clips have poses in {out}"]
    if missing:
        said.append(f"{len(missing)} have no video in {videos}: {', '.join(missing[:5])}{' ...' * (len(missing) > 5)}")
    console.print("\n".join(said), highlight=False, soft_wrap=True)
    if bad:
        raise BadInputError(
            f"{len(bad)} clips could not be read: {', '.join(bad)}", "the others are done", "mend them, then run again"
        )
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
