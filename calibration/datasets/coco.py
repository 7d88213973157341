"""COCO keypoint annotations. Knows COCO's JSON; the joints come from engines.skeleton."""

from pathlib import Path
from typing import Any

import numpy as np

from calibration.datasets.poseset import PoseSet, load_json, malformed
from engines.download import file_sha256
from engines.skeleton import joints_from_keypoints


def read_coco(path: Path) -> PoseSet:
    """People of a COCO keypoint file: `annotations[].keypoints` (17 x 3), `num_keypoints` > 0, `image_id`.

    There is one label, `person`; a group is a picture. A keypoint with v = 0 is not visible.

    Raises:
        BadInputError: the file is missing or not such an annotation file.
    """
    content: Any = load_json(path, "COCO keypoints", "a COCO annotation file")
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        raise malformed(path, "no list named annotations", "COCO's annotations with keypoints")
    keypoints, pictures = [], []
    for number, person in enumerate(content["annotations"]):
        try:
            points = np.asarray(person["keypoints"], np.float32).reshape(17, 3)
            picture = int(person["image_id"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            seen = f"annotation {number}: {type(error).__name__} {error}"
            raise malformed(path, seen, "17 x 3 keypoints and an image_id for every annotation") from error
        if not np.isfinite(points).all():
            raise malformed(path, f"annotation {number}: a coordinate that is not finite", "finite px")
        if (points[:, 2] > 0).any():
            keypoints.append(points)
            pictures.append(picture)
    if not keypoints:
        raise malformed(path, "no person with a labelled keypoint", "at least one")
    stacked = np.stack(keypoints)
    stacked[..., 2] = np.minimum(stacked[..., 2], 1)
    joints = joints_from_keypoints(stacked)
    count = len(joints)
    return PoseSet(
        "coco",
        joints[..., :2],
        joints[..., 2] > 0,
        np.zeros(count, np.int64),
        ("person",),
        np.unique(pictures, return_inverse=True)[1].astype(np.int64),
        np.zeros(count, np.float32),
        {path.name: file_sha256(path)},
    )
