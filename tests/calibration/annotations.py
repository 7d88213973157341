"""Small annotations in the formats of real data sets, for the tests of their readers."""

from pathlib import Path
from typing import Any

import numpy as np

from calibration.datasets.mpii import MPII_JOINTS


def numbers(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return (np.arange(np.prod(shape), dtype=np.float32) % 97 + 2).reshape(shape)


def write_mpii_csv(path: Path, missing: str = "", text: str = "") -> Path:
    columns = [f"{joint}_{axis}" for joint in MPII_JOINTS for axis in "XY" if f"{joint}_{axis}" != missing]
    rows = [",".join(["NAME", *columns, "Activity", "Category"])]
    for row in range(3):
        values = [str(10 * row + index) for index in range(len(columns))]
        if row == 1:
            values[:2] = ["-1", "-1"]
        if row == 2 and text:
            values[5] = text
        rows.append(",".join([f"{row}.jpg", *values, "golf", "sports"]))
    path.write_text("\n".join(rows) + "\n")
    return path


def penn_arrays() -> dict[str, Any]:
    return {
        "xy": numbers(5, 13, 2), "visible": np.ones((5, 13), bool), "offsets": np.array([0, 3, 5]),
        "action": np.array([1, 0]), "actions": np.array(["bowl", "golf"]),
    }  # fmt: skip
