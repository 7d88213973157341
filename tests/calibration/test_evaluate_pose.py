from pathlib import Path

import numpy as np
import pytest
import torch

from calibration.crops import WINDOW_OFFSET, CropSet
from calibration.distill import main
from calibration.evaluate_pose import (
    PoseEvaluation,
    decode,
    label_distances,
    normalised,
    oks_ap,
    person_window,
    standing,
)
from calibration.pose_task import TARGET_SIGMA, closeness, place_loss
from calibration.report import bootstrap_deviation
from engines.errors import EXIT_ENGINE
from engines.graphs.parts import export_part
from tests.calibration.tiny_set import FIGURE


def peaks_at(places: np.ndarray, spread: float = 1.5) -> np.ndarray:
    """Gaussians `[N, K, 64, 48]` at places `[N, K, 2]` in window px."""
    columns, rows = np.arange(48) * 4, np.arange(64) * 4
    across = np.exp(-(((columns - places[..., :1]) / (4 * spread)) ** 2) / 2)
    down = np.exp(-(((rows - places[..., 1:]) / (4 * spread)) ** 2) / 2)
    return (down[..., :, None] * across[..., None, :]).astype(np.float32)


def test_decode_is_within_a_quarter_cell_of_the_peak_without_half_pixel_offset() -> None:
    places = np.random.default_rng(0).uniform(10, 180, (4, 17, 2))
    found = decode(peaks_at(places))
    assert np.abs(found[..., :2] - places).max() <= 1.01
    assert decode(peaks_at(np.full((1, 1, 2), 80.0)))[0, 0].tolist() == [80, 80, 1]


def test_decode_at_the_maps_edge_stays_on_the_map() -> None:
    assert np.all(decode(peaks_at(np.zeros((1, 17, 2))))[..., :2] >= 0)


def test_the_window_of_a_box_is_the_box_widened_to_three_by_four_and_a_quarter_more() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    _, matrix = person_window(picture, (100, 50, 90, 240))
    corners = matrix @ np.array([[0, 192], [0, 256], [1, 1]])
    assert corners[1].tolist() == pytest.approx([50 + 120 - 150, 50 + 120 + 150])
    assert corners[0].tolist() == pytest.approx([145 - 112.5, 145 + 112.5])


def test_the_loss_is_lowest_where_the_joint_is() -> None:
    places = torch.full((1, 2, 17, 2), 96.0)
    shares = torch.tensor([1.0, 0.0])[None, :, None].expand(1, 2, 17)
    right, wrong = (
        torch.from_numpy(peaks_at(np.full((1, 17, 2), at), TARGET_SIGMA)).clamp_min(1e-20).log() for at in (96.0, 60.0)
    )
    assert place_loss(right, places, shares) < place_loss(wrong, places, shares) - 1


def test_a_joint_without_a_share_costs_nothing() -> None:
    maps = torch.randn(1, 17, 64, 48, requires_grad=True)
    shares = torch.ones(1, 2, 17)
    shares[..., 3] = 0
    place_loss(maps, torch.full((1, 2, 17, 2), 50.0), shares).backward()
    assert maps.grad is not None
    assert float(maps.grad[:, 3].abs().max()) == 0
    assert float(maps.grad[:, 4].abs().max()) > 0


def test_closeness_falls_with_the_distance_and_forgives_the_unknown() -> None:
    places = torch.full((1, 2, 17, 2), 96.0)
    shares = torch.tensor([1.0, 0.0])[None, :, None].repeat(1, 1, 17)
    shares[..., 5] = 0
    on_the_spot, far = (torch.from_numpy(peaks_at(np.full((1, 17, 2), at))) for at in (96.0, 60.0))
    assert torch.all(closeness(on_the_spot, places, shares) == 1)
    found = closeness(far, places, shares)[0]
    assert float(found[5]) == 1
    assert float(found[4]) < 0.05


def test_pictures_are_normalised_as_rgb() -> None:
    blue = torch.zeros(1, 2, 2, 3, dtype=torch.uint8)
    blue[..., 0] = 255
    assert normalised(blue)[0, :, 0, 0].tolist() == pytest.approx(
        [-0.485 / 0.229, -0.456 / 0.224, 0.594 / 0.225], abs=1e-5
    )


def test_perfect_keypoints_have_full_ap_and_pck(tiny_crops: Path) -> None:
    evaluation = PoseEvaluation(tiny_crops)
    order = iter([np.stack([FIGURE + np.array([4.0 * n, 0]) for n in range(4)]), evaluation.holdout.keypoints[..., :2]])
    in_window = []
    for matrix, points in zip(evaluation.to_picture, next(order), strict=True):
        in_window.append((points - matrix[:, 2]) / matrix[0, 0])
    results = evaluation.coco_results(lambda windows: peaks_at(np.stack(in_window)))
    assert oks_ap(evaluation.truth, results, evaluation.image_ids()) == pytest.approx((1, 1))
    assert evaluation.image_ids("mini_val2017") == [0, 2]
    assert bootstrap_deviation(evaluation.truth, results, evaluation.image_ids(), 5) == pytest.approx(0)
    places = next(order) - (24, 32)
    found = evaluation.holdout_keypoints(lambda windows: peaks_at(places))
    assert evaluation.pck(found) == {"first": 1, "second": 1, "standing": 1}
    assert evaluation.confidence(found)["kept"] == 1
    moved = found + np.array([30, 0, -0.9], np.float32)
    assert evaluation.pck(moved)["first"] == 0
    assert evaluation.confidence(moved)["refused_wrong"] == 1


def test_distances_from_the_labels_are_of_sure_joints_on_the_picture(tiny_crops: Path) -> None:
    crops = CropSet(tiny_crops / "train")
    crops.keypoints[:, 2, 2] = 0.39
    places = crops.keypoints[..., :2] - WINDOW_OFFSET
    order = np.random.default_rng(0).permutation(len(crops))
    shown = iter(order)

    def predict(windows: np.ndarray) -> np.ndarray:
        return peaks_at(np.stack([places[next(shown)] + (8, 0) for _ in windows]))

    apart = label_distances(crops, predict)
    counted = crops.inside & (crops.keypoints[..., 2] >= 0.4)
    assert len(apart) == counted.sum() > 0
    assert counted.sum() == crops.inside.sum() - crops.inside[:, 2].sum()
    assert np.median(apart) == pytest.approx(8, abs=1.1)
    shown = iter(order)
    crops.inside[:, 1:] = False
    assert len(label_distances(crops, predict)) == counted[:, 0].sum()
    shown = iter(order)
    assert len(label_distances(crops, predict, most=2)) == counted[order[:2], 0].sum()


def test_a_graph_that_is_no_pose_network_is_refused_in_one_sentence(
    tiny_crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, broken = tmp_path / "other.onnx", tmp_path / "broken.onnx"
    graph = export_part(torch.nn.Conv2d(3, 16, 4, 4), {"image": torch.zeros(1, 3, 256, 192)}, ["heatmaps"])
    other.write_bytes(graph.SerializeToString())
    broken.write_bytes(b"no graph")
    faults = {tmp_path / "none.onnx": "is no file", other: "[1, 16, 64, 48]", broken: "cannot be opened"}
    for path, said in faults.items():
        assert main(["evaluate", "--crops", str(tiny_crops), "--pose", str(path), "--device", "cpu"]) == EXIT_ENGINE
        assert said in capsys.readouterr().err


def test_only_whole_upright_people_stand() -> None:
    upright = np.concatenate([FIGURE, np.full((17, 1), 0.9, np.float32)], 1)
    lying, bent, unsure = upright.copy(), upright.copy(), upright.copy()
    lying[:, :2] = upright[:, 1::-1]
    bent[13, :2] = upright[11, :2] + (60, 40)
    unsure[15, 2] = 0.1
    people = np.stack([upright, lying, bent, unsure, upright])
    inside = np.ones((5, 17), bool)
    inside[4, 16] = False
    assert standing(people, inside).tolist() == [True, False, False, False, False]


def test_the_teacher_scores_as_documented_on_human_labels(real_crops: Path) -> None:
    evaluation = PoseEvaluation(real_crops)
    assert len(evaluation.people) == 154
    assert len(evaluation.image_ids("mini_val2017")) == 39
