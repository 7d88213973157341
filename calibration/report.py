"""Tables that say how good pose networks and detectors are, with the spread of a small set. Knows evaluations."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table

from calibration.bodies import confirmed, hold_bodies, show_whole_bodies
from calibration.crops import CropSet, FloatArray
from calibration.evaluate_detector import (
    FALSE_PERSONS,
    THRESHOLDS,
    Detector,
    DetectorEvaluation,
    TwiceSeen,
    detector_of,
)
from calibration.evaluate_pose import (
    STANDING,
    PoseEvaluation,
    Predict,
    label_distances,
    oks_ap,
    onnx_predict,
    torch_predict,
)
from engines.bodies import LEAST_CONFIDENCE, NEWCOMERS_SHARE
from engines.networks.hrnet import HRNET_CONFIGS
from engines.networks.hrnet_weights import load_hrnet
from engines.networks.state_dicts import read_state_dict

RESAMPLES = 100
CONFIRMED = (0.15, 0.2, 0.22, 0.25, 0.3)
"""Confidences of detector and pose network together."""
NEAR_LABEL = (5, 10, 20)
"""px of the window."""


def bootstrap_deviation(
    truth: dict[str, Any], results: Sequence[dict[str, Any]], images: Sequence[int], resamples: int = RESAMPLES
) -> float:
    """Standard deviation of OKS AP when the pictures are drawn again with replacement, seeded."""
    rng = np.random.default_rng(0)
    values = []
    for _ in range(resamples):
        drawn = rng.choice(np.array(images), len(images)).tolist()
        people, found = [], []
        for copy, image in enumerate(drawn):
            people += [
                row | {"image_id": copy, "id": copy * 100_000 + place}
                for place, row in enumerate(truth["annotations"], 1)
                if row["image_id"] == image
            ]
            found += [row | {"image_id": copy} for row in results if row["image_id"] == image]
        renamed = truth | {"images": [{"id": copy} for copy in range(len(drawn))], "annotations": people}
        values.append(oks_ap(renamed, found, range(len(drawn)))[0])
    return float(np.std(values))


def pose_predict(path: Path, device: torch.device) -> Predict:
    """A pose network of an ONNX file, or of `hrnet_compact` weights."""
    if path.suffix == ".onnx":
        return onnx_predict(path)
    network = load_hrnet(read_state_dict(path), HRNET_CONFIGS["hrnet_compact"])
    return torch_predict(network.to(device=device, memory_format=torch.channels_last), device)  # type: ignore[call-overload]


def print_pose_table(
    crops: Path, networks: Sequence[Path], teacher: Path | None, device: torch.device, console: Console
) -> None:
    """OKS AP on human labels with true boxes, PCK@0.1 against the teacher, and what the visibility threshold does."""
    rows = named(networks, teacher)
    if not rows:
        return
    evaluation = PoseEvaluation(crops)
    table = Table(title="Pose: OKS AP on true boxes (one standard deviation), PCK@0.1 against the teacher")
    sources = [*sorted(set(evaluation.holdout.sources)), STANDING]
    verdicts = ("kept", "refused_outside", "refused_wrong")
    for heading in ("network", "AP mini_val2017", "AP50", "AP all", "AP50", *sources, *verdicts):
        table.add_column(heading)
    for name, path in rows:
        predict = pose_predict(path, device)
        results = evaluation.coco_results(predict)
        cells = []
        for split in ("mini_val2017", None):
            images = evaluation.image_ids(split)
            ap, ap50 = oks_ap(evaluation.truth, results, images)
            spread = bootstrap_deviation(evaluation.truth, results, images)
            cells += [f"{ap:.3f} ({spread:.3f})", f"{ap50:.3f}"]
        found = evaluation.holdout_keypoints(predict)
        numbers = evaluation.pck(found) | evaluation.confidence(found)
        table.add_row(name, *cells, *(f"{numbers[column]:.3f}" for column in (*sources, *verdicts)))
    console.print(table)


def print_label_table(
    sets: Mapping[Path, CropSet], networks: Sequence[Path], teacher: Path | None, device: torch.device, console: Console
) -> None:
    """How near the labels of crop sets, named by their stems, the joints of networks lie: `label_distances`."""
    if not sets:
        return
    table = Table(title="Pose: distance from the labels of crop sets, px of the 192x256 window")
    for heading in ("network", "set", "joints", "median", *(f"within {limit} px" for limit in NEAR_LABEL)):
        table.add_column(heading)
    for name, path in named(networks, teacher):
        predict = pose_predict(path, device)
        for stem, crops in sets.items():
            apart = label_distances(crops, predict)
            parts = [f"{(apart < limit).mean():.3f}" for limit in NEAR_LABEL]
            table.add_row(name, stem.name, str(len(apart)), f"{np.median(apart):.2f}", *parts)
    console.print(table)


def named(networks: Sequence[Path], teacher: Path | None) -> list[tuple[str, Path]]:
    """The pose networks of a table with their names, the teacher first."""
    return [*([("teacher", teacher)] if teacher else []), *((path.stem, path) for path in networks)]


def deviation(share: float, count: int) -> float:
    """One standard deviation of a share of `count` yes-or-no answers."""
    return float((share * (1 - share) / count) ** 0.5)


def print_detector_table(
    crops: Path,
    networks: Sequence[Path],
    teacher: Path | None,
    device: torch.device,
    console: Console,
    pose: Path | None = None,
) -> None:
    """Recall of the teacher's whole persons and false persons an image, at several confidences.

    With a pose teacher, also the recall of those whose whole body it sees, where the others are covered, in crowds for
    the most part, and the false persons in which it sees no body: the detector's teacher overlooks people. A YOLOv5u
    checkpoint has rows of its own for how it teaches (`TwiceSeen`). With `pose` every detector also has rows for who
    is there by its word and that pose network's together, from boxes of `NEWCOMERS_SHARE` of the least confidence on.
    """
    if not networks:
        return
    evaluation = DetectorEvaluation(crops)
    people = sum(int(whole.sum()) for whole in evaluation.whole)
    table = Table(title=f"Detector: {people} whole persons in {len(evaluation.scenes)} held-back pictures, IoU 0.5")
    judge = onnx_predict(teacher) if teacher else None
    wanted = [evaluation.whole, *([whole_bodies(evaluation, judge)] if judge else [])]
    headings = ["network", "confidence", "recall", "one deviation", "false persons an image"]
    if judge:
        headings += ["without a body", f"recall of {sum(int(one.sum()) for one in wanted[1])} whole bodies"]
    for heading in headings:
        table.add_column(heading)

    def add_rows(name: str, found: list[FloatArray], thresholds: Sequence[float]) -> None:
        verdicts = [evaluation.unknown(found)]
        if judge:
            verdicts.append(without_body(evaluation, found, verdicts[0], judge))
        rows = []
        for verdict in verdicts:
            confidence = evaluation.at_false_persons(found, false=verdict, least=thresholds[0])[1]
            rows.append((confidence, [f"under {FALSE_PERSONS}" if one is verdict else "" for one in verdicts]))
        for threshold in thresholds:
            rates = (evaluation.at_threshold(found, threshold, one)[1] for one in verdicts)
            rows.append((threshold, [f"{rate:.3f}" for rate in rates]))
        for threshold, cells in rows:
            recall, *others = (evaluation.at_threshold(found, threshold, verdicts[0], one)[0] for one in wanted)
            known = (f"{threshold:.2f}", f"{recall:.3f}", f"{deviation(recall, people):.3f}")
            table.add_row(name, *known, *cells, *(f"{other:.3f}" for other in others))

    for name, network in named_detectors(networks):
        network.to(device).eval()
        found = evaluation.detections(network, device, least=NEWCOMERS_SHARE * LEAST_CONFIDENCE)
        add_rows(name, found, THRESHOLDS)
        if pose is not None:
            together = confirmed_by(evaluation, found, pose_predict(pose, device))
            add_rows(f"{name}, {pose.stem} sees a body", together, CONFIRMED)
    console.print(table)


def confirmed_by(evaluation: DetectorEvaluation, found: list[FloatArray], pose: Predict) -> list[FloatArray]:
    """Who is in each scene, `[M, 5]`, by the word of detector and pose network together (`calibration.bodies`)."""
    result = []
    for number, boxes in enumerate(found):
        people = confirmed(evaluation.scenes[number].picture, evaluation.in_scene(number, boxes), pose)
        result.append(evaluation.in_input(number, people))
    return result


def without_body(
    evaluation: DetectorEvaluation, found: list[FloatArray], false: list[npt.NDArray[np.bool_]], judge: Predict
) -> list[npt.NDArray[np.bool_]]:
    """In which of the `false` persons among the boxes `[M, 5]` of each scene the pose teacher sees no body."""
    result = []
    for number, (boxes, verdict) in enumerate(zip(found, false, strict=True)):
        scene, bodiless = evaluation.scenes[number].picture, verdict.copy()
        bodiless[verdict] = ~hold_bodies(scene, evaluation.in_scene(number, boxes[verdict]), judge)
        result.append(bodiless)
    return result


def named_detectors(paths: Sequence[Path]) -> Iterator[tuple[str, Detector]]:
    """The detectors of a table with their names; a YOLOv5u checkpoint also as it teaches."""
    for path in paths:
        name, network = f"{path.stem} {path.suffix.removeprefix('.')}", detector_of(path)
        yield name, network
        if path.suffix == ".pt":
            yield f"{name}, looking twice", TwiceSeen(network)


def whole_bodies(evaluation: DetectorEvaluation, judge: Predict) -> list[npt.NDArray[np.bool_]]:
    """Which of the teacher's boxes of each scene are `whole` and show a whole body: `bool [M]` each."""
    wanted = [whole.copy() for whole in evaluation.whole]
    for scene, whole in zip(evaluation.scenes, wanted, strict=True):
        whole[whole] = show_whole_bodies(scene.picture, scene.boxes[whole], judge)
    return wanted
