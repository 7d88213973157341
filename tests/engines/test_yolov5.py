"""YOLOv5u checkpoints: cut to the person class, and every other file refused by name."""

import functools
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from engines.errors import EXIT_BAD_INPUT, EXIT_ENGINE, BadInputError, EngineError, PosemirrorError
from engines.networks.yolov5 import PersonYolo, load_yolov5


@functools.cache
def random_detector(classes: int) -> Any:
    """A randomly initialised YOLOv5nu."""
    tasks = pytest.importorskip("ultralytics.nn.tasks", reason="needs the build extra")
    torch.manual_seed(25)
    return tasks.DetectionModel("yolov5n.yaml", nc=classes, verbose=False).eval()


def save_detector(path: Path, names: dict[int, str]) -> Any:
    """Writes a checkpoint of a random network, as ultralytics does, and returns the network."""
    model = random_detector(len(names))
    model.names = names
    torch.save({"model": model}, path)
    return model


def picture() -> torch.Tensor:
    return torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(26))


def raw_levels(model: Any, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Box logits [4 * bins, N] and class logits [classes, N] of the whole model, from its own forward."""
    head = model.model[-1]
    model = model.float().eval()
    head.training = True
    with torch.no_grad():
        output = model(image)
    head.training = False
    if isinstance(output, dict):
        return output["boxes"][0], output["scores"][0]
    bins = 4 * head.reg_max
    levels = torch.cat([level.flatten(2) for level in output], 2)[0]
    return levels[:bins], levels[bins:]


@pytest.mark.parametrize(
    ("names", "person"),
    [
        ({0: "person", 1: "bicycle"}, 0),
        ({0: "dog", 1: "Person"}, 1),
        ({0: "athlete"}, 0),
    ],
    ids=["person first", "person second", "one class of any name"],
)
def test_the_network_is_the_whole_model_cut_to_its_person_channel(
    tmp_path: Path, names: dict[int, str], person: int
) -> None:
    boxes, classes = raw_levels(save_detector(tmp_path / "some.pt", names), picture())
    network = load_yolov5(tmp_path / "some.pt")
    with torch.no_grad():
        box_logits, class_logits = network(picture())
    assert box_logits.shape == (1, 64, 8 * 12 + 4 * 6 + 2 * 3) and class_logits.shape == (1, 126)
    torch.testing.assert_close(box_logits[0], boxes, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(class_logits[0], classes[person], atol=1e-4, rtol=1e-4)
    assert network.bins == 16 and not network.training


def test_yolov5nu_cut_to_the_person_equals_all_80_classes(shared: Path) -> None:
    path = shared / "weights" / "yolov5nu.pt"
    pytest.importorskip("ultralytics.nn.tasks", reason="needs the build extra")
    whole = torch.load(path, map_location="cpu", weights_only=False)["model"]
    boxes, classes = raw_levels(whole, picture())
    assert len(classes) == 80
    with torch.no_grad():
        box_logits, class_logits = load_yolov5(path)(picture())
    torch.testing.assert_close(box_logits[0], boxes, atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(class_logits[0], classes[0], atol=2e-3, rtol=1e-3)


def refused(path: Path, kind: type[PosemirrorError], exit_code: int, *words: str) -> None:
    with pytest.raises(kind) as caught:
        load_yolov5(path)
    message = str(caught.value)
    assert caught.value.exit_code == exit_code
    assert all(word in message for word in (str(path), *words)), message
    assert "\n" not in message and message.endswith(".") and message.count("; ") >= 2


def test_a_classic_yolov5_checkpoint_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classic = types.ModuleType("models.yolo")
    model = type("Model", (nn.Module,), {"__module__": "models.yolo", "__qualname__": "Model"})
    classic.Model = model  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "models", types.ModuleType("models"))
        patch.setitem(sys.modules, "models.yolo", classic)
        torch.save({"model": model(), "epoch": -1}, tmp_path / "yolov5s.pt")
    refused(tmp_path / "yolov5s.pt", EngineError, EXIT_ENGINE, "classic yolov5", "models", "YOLOv5u")


def broken_files() -> dict[str, bytes]:
    whole = pickle.dumps({"model": [1, 2, (3,)] * 20}, 2)
    return {
        "empty": b"",
        "text": b"hello world\n",
        "a page": b"<!DOCTYPE html><html></html>",
        "the start of a zip file": b"PK\x03\x04" + b"\0" * 200,
        "a length beyond memory": b"\x80\x05\x96" + b"\xff" * 8,
        "half a pickle": whole[: len(whole) // 2],
        "a module of nobody": pickle.dumps({"model": 1}).replace(b"model", b"mo\ndel"),
        "an unknown module": b"cno_such_module_anywhere\nThing\n.",
    }


@pytest.mark.parametrize("content", broken_files().values(), ids=broken_files())
def test_a_broken_file_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("ultralytics.nn.tasks", reason="needs the build extra")
    path = tmp_path / "broken.pt"
    path.write_bytes(content)
    refused(path, EngineError, EXIT_ENGINE, "cannot be read as a checkpoint")


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "some.pt"
    save_detector(path, {0: "person"})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(path, EngineError, EXIT_ENGINE, "cannot be read as a checkpoint")


@pytest.mark.parametrize(
    "content", [{"epoch": 3}, [1, 2], {"model": {"weight": torch.zeros(2)}}], ids=["no model", "a list", "a state dict"]
)
def test_a_checkpoint_without_a_network_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "some.pt")
    refused(tmp_path / "some.pt", EngineError, EXIT_ENGINE, "holds no network")


@pytest.mark.parametrize("network", [nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2))], ids=["linear", "sequential"])
def test_a_network_that_is_no_detector_is_refused(tmp_path: Path, network: nn.Module) -> None:
    torch.save({"model": network}, tmp_path / "some.pt")
    refused(tmp_path / "some.pt", EngineError, EXIT_ENGINE, type(network).__name__, "YOLOv5u")


def test_a_detector_that_knows_no_person_is_refused_with_its_classes(tmp_path: Path) -> None:
    save_detector(tmp_path / "some.pt", {0: "cat", 1: "dog"})
    refused(tmp_path / "some.pt", BadInputError, EXIT_BAD_INPUT, "cat, dog", "person")


def test_cutting_leaves_a_network_of_one_class_channel(tmp_path: Path) -> None:
    save_detector(tmp_path / "some.pt", {0: "dog", 1: "person"})
    network = load_yolov5(tmp_path / "some.pt")
    assert isinstance(network, PersonYolo)
    assert [branch[-1].out_channels for branch in network.class_branches] == [1, 1, 1]
