"""Action-quality annotations: FineDiving, MTL-AQA and AQA-7's layout. Knows scores and splits; knows no poses."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from calibration.datasets.pickles import read_plain_pickle
from calibration.datasets.poseset import malformed, require_file
from engines.download import file_sha256

AQA7_SPORTS = (
    "diving", "gym_vault", "ski_big_air", "snowboard_big_air", "sync_diving_3m", "sync_diving_10m", "trampoline",
)  # fmt: skip
"""AQA-7's sports in the order of its class numbers 1 to 7."""


@dataclasses.dataclass(frozen=True)
class Clip:
    """One judged performance.

    Attributes:
        name: `VIDEO/NUMBER`; the poses of the clip are looked for under this name.
        action: code of what was performed (dive number or sport).
        score: the judges' final score.
        difficulty: degree of difficulty, 1 where there is none.
        first_frame: first frame in the video, or None where each clip is a file.
        last_frame: last frame in the video, or None.
        judges: each judge's score, empty where not published.
        test: whether the official split has it in the test set.
    """

    name: str
    action: str
    score: float
    difficulty: float
    first_frame: int | None
    last_frame: int | None
    judges: tuple[float, ...]
    test: bool


@dataclasses.dataclass(frozen=True)
class ClipSet:
    """All clips of a data set, with the sha256 of the files read."""

    name: str
    clips: tuple[Clip, ...]
    hashes: dict[str, str]


def read_finediving(folder: Path) -> ClipSet:
    """FineDiving: coarse annotations and the official split, five fields a dive.

    Raises:
        BadInputError: a file is missing or malformed, or the split names a dive without annotation.
    """
    fields = ("action_type", "start_frame", "end_frame", "dive_score", "difficulty", "judge_scores")
    return _dives("finediving", folder / "FineDiving_coarse_annotation.pkl", folder, "", fields)


def read_mtl_aqa(folder: Path) -> ClipSet:
    """MTL-AQA: annotations with dive numbers and judges, and split 0.

    Raises:
        BadInputError: a file is missing or malformed, or the split names a dive without annotation.
    """
    fields = ("dive_number", "start_frame", "end_frame", "final_score", "difficulty", "judge_scores")
    return _dives("mtl_aqa", folder / "final_annotations_dict_with_dive_number.pkl", folder, "_0", fields)


def _dives(name: str, annotations: Path, folder: Path, suffix: str, fields: tuple[str, ...]) -> ClipSet:
    content = read_plain_pickle(annotations, name)
    if not isinstance(content, dict) or not content:
        raise malformed(annotations, f"a {type(content).__name__}, or empty", "a dictionary from (video, number)")
    files, members = [annotations], {}
    for part in ("train", "test"):
        path = folder / f"{part}_split{suffix}.pkl"
        listed = read_plain_pickle(path, f"{name} split")
        if not isinstance(listed, list) or not listed:
            raise malformed(path, f"a {type(listed).__name__}, or empty", "a list of (video, number)")
        for key in listed:
            try:
                known = key in content
            except TypeError:  # a list, for one, is no key
                known = False
            if not known:
                raise malformed(path, f"{named(key)} is not annotated", f"keys of {annotations.name}")
            members[key] = part == "test"
        files.append(path)
    clips = tuple(_dive(annotations, key, content[key], fields, test) for key, test in members.items())
    return ClipSet(name, clips, {path.name: file_sha256(path) for path in files})


def named(key: object) -> str:
    """A key of the annotations in one short line."""
    return one_line(f"{key!a:.60}")


def one_line(text: object) -> str:
    """What may be a repr or an error of several lines, in one."""
    return " ".join(str(text).split())


def _dive(path: Path, key: Any, entry: Mapping[str, Any], fields: tuple[str, ...], test: bool) -> Clip:
    action, first, last, score, difficulty, judges = fields
    try:
        video, number = key
        clip = Clip(
            f"{video}/{number}",
            str(entry[action]),
            float(entry[score]),
            float(entry[difficulty]),
            int(entry[first]),
            int(entry[last]),
            tuple(float(judge) for judge in entry[judges]),
            test,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        seen = f"{named(key)}: {type(error).__name__} {one_line(error)}"
        raise malformed(path, seen, f"the fields {', '.join(fields)}") from error
    if not (np.isfinite(clip.score) and clip.difficulty > 0):
        raise malformed(path, f"{named(key)}: score {clip.score}, difficulty {clip.difficulty}", "a finite score")
    return clip


def read_aqa7(folder: Path) -> ClipSet:
    """AQA-7's layout: `Split_4/split_4_train_list.mat` and `..._test_list.mat`, rows of class, sample and score.

    The official split leaves trampoline out; a clip's name is `SPORT-out/NNN`, as its video files are named.

    Raises:
        BadInputError: a file is missing or is not such a table, or SciPy is not installed.
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise malformed(folder, "its .mat files cannot be read", "SciPy (pip install scipy)") from error
    clips: list[Clip] = []
    hashes = {}
    for part in ("train", "test"):
        path = require_file(folder / "Split_4" / f"split_4_{part}_list.mat", "AQA-7 split")
        key = f"consolidated_{part}_list"
        try:
            table = np.asarray(loadmat(path)[key], np.float64)
        except Exception as error:
            raise malformed(path, f"not readable ({type(error).__name__} {error})", f"a table named {key}") from error
        if table.ndim != 2 or table.shape[1] != 3 or not np.isfinite(table).all():
            raise malformed(path, f"a table of shape {table.shape}", "finite rows of class, sample and score")
        if not np.isin(table[:, 0], np.arange(1, len(AQA7_SPORTS) + 1)).all():
            raise malformed(path, "a class outside 1..7", "a class of 1 to 7")
        for sport_number, sample, score in table:
            sport = AQA7_SPORTS[int(sport_number) - 1]
            name = f"{sport}-out/{int(sample):03d}"
            clips.append(Clip(name, sport, float(score), 1.0, None, None, (), part == "test"))
        hashes[path.name] = file_sha256(path)
    return ClipSet("aqa7", tuple(clips), hashes)
