"""Tiny sets of pictures; networks on few threads, since more only slow each other down."""

from pathlib import Path

import pytest
import torch

from tests.calibration.tiny_set import write_coco, write_crops, write_scenes

torch.set_num_threads(1)

REAL_CROPS = Path(__file__).resolve().parents[2].parent / "shared" / "crops"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Again before each test: one before it may have run something that chose another number."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crops")
    write_crops(folder / "train", 16, 1)
    write_crops(folder / "holdout", 4, 2)
    write_coco(folder, 4)
    write_scenes(folder / "scenes_train", 16, 3)
    write_scenes(folder / "scenes_holdout", 4, 4)
    return folder


@pytest.fixture(scope="session")
def real_crops() -> Path:
    if not (REAL_CROPS / "train.npz").is_file():
        pytest.skip(f"the person crops are not at {REAL_CROPS}")
    return REAL_CROPS
