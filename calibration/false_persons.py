"""Makes crops of what the compact detector takes for people and is none, for the pose network. Trains nothing.

python -m calibration.false_persons --teacher TINYPOSE.onnx --out runs/false_persons \
    --scenes runs/thing_scenes runs/crop_scenes ../shared/crops/scenes_train

The surest boxes that the detector gives beside whoever is labelled, from 0.03 on, unless the pose teacher is sure of a
body that fills them. The crops are written as `calibration.scene_persons` writes people, with no keypoint on the
picture: in `calibration.distill pose --more-crops` the network learns from them that nothing is to be seen. The live
loop asks it about every newcomer.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import track

from calibration.bodies import holds_body
from calibration.crop_scenes import detections
from calibration.crops import FloatArray
from calibration.detector_task import LEFT_OUT
from calibration.evaluate_detector import LIVE_SIZE, Levels, detector_of, overlap_table
from calibration.evaluate_pose import Predict, onnx_predict
from calibration.scene_persons import PersonCrop, cropped, write_crops
from calibration.scenes import Scene, SceneSet
from engines.exits import documented_exits
from engines.networks.yolov5_compact import YoloCompact
from engines.options import OptionParser
from engines.weights_registry import OWN_WEIGHTS

LEAST_CONFIDENCE = 0.03
MOST_SHARED = 0.2
"""Of a box's area, with somebody who is labelled."""
LEAST_HEIGHT_PX = 24
MOST_IN_SCENE = 3
"""Boxes of a scene that are looked into, the surest ones."""


def shared_part(boxes: FloatArray, people: FloatArray) -> FloatArray:
    """How much of each box `[M, 4+]` lies in one of the boxes of people `[P, 4+]`, at most: `float32 [M]`, 0..1."""
    areas = (boxes[:, 2:4] - boxes[:, :2]).prod(-1)
    parts = overlap_table(boxes, people) / np.maximum(areas, 1e-6)[:, None]
    return np.asarray(parts.max(1, initial=0), np.float32)


def false_persons(
    scenes: Iterable[Scene], detector: YoloCompact | Levels, teacher: Predict, most: int = MOST_IN_SCENE
) -> Iterator[PersonCrop]:
    """What the detector finds beside the people of scenes, of the surest `most` of each those without a body."""
    for scene in scenes:
        size = scene.picture.shape[:2]
        found = detections(detector, scene.picture, LIVE_SIZE[::-1], LEAST_CONFIDENCE)
        alone = shared_part(found, scene.boxes) < MOST_SHARED
        large = found[:, 3] - found[:, 1] >= LEAST_HEIGHT_PX
        for box in found[alone & large][:most]:
            if holds_body(scene.picture, box, teacher):
                continue
            picture, affine = cropped(scene.picture, box)
            nothing: npt.NDArray[np.bool_] = np.zeros(17, np.bool_)
            keypoints = np.zeros((17, 3), np.float32)
            yield PersonCrop(picture, keypoints, nothing, affine, box, (size[0], size[1]), scene.source, scene.image)


@documented_exits()
def main(arguments: Sequence[str] | None = None) -> int:
    """Looks through scenes. Returns the exit code."""
    options = OptionParser(prog="python -m calibration.false_persons", description=__doc__.splitlines()[0])
    options.add_argument("--scenes", type=Path, nargs="+", metavar="STEM", required=True, help="sets, without suffix")
    options.add_argument("--detector", type=Path, default=OWN_WEIGHTS["detector"], help="whose mistakes are wanted")
    options.add_argument("--teacher", type=Path, required=True, help="ONNX pose network, [N,3,256,192] to heatmaps")
    options.add_argument("--out", type=Path, required=True, help="path of the .tar and .npz, without suffix")
    given = options.parse_args(arguments)
    torch.set_num_threads(1)
    sets = [SceneSet(stem, LEFT_OUT) for stem in given.scenes]
    count = sum(len(one) for one in sets)
    scenes = track(chain.from_iterable(sets), total=count, description="looking")
    detector = detector_of(given.detector)
    found = list(false_persons(scenes, detector.eval(), onnx_predict(given.teacher)))
    write_crops(found, given.out)
    Console().print(f"{given.out}.tar: {len(found)} crops of {count} pictures", highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
