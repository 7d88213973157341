"""yolo11n-pose at 640 on ONNX Runtime, with letterbox, decode and NMS around it: boxes and 17 keypoints of every frame.

Its weights are random (see compare.py): what it finds is noise, what it costs is not.
"""

import cv2
import numpy as np
from common import measure, options
from onnx_peers import letterboxed, session

arguments = options("--model")
network = session(arguments.model)


def process(picture: np.ndarray) -> np.ndarray:
    image, scale = letterboxed(picture, 640)
    rows = network.run(None, {"image": image})[0][0].T  # [8400, 4 + 1 + 51]
    sure = rows[rows[:, 4] > 0.25]
    boxes = sure[:, :4] / scale
    boxes[:, :2] -= boxes[:, 2:] / 2
    kept = cv2.dnn.NMSBoxes(boxes.tolist(), sure[:, 4].tolist(), 0.25, 0.7)
    return sure[np.array(kept, int).reshape(-1), 5:].reshape(-1, 17, 3)


measure(arguments.clip, arguments.frames, process)
