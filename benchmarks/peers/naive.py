"""The script most people write: detect in every frame, crop, pose network, argmax, cosine, one after the other.

Detector: yolo11n-pose's own backbone is not used; YOLOv5nu at 640. Pose network: whatever --pose is, 256x192.
"""

import cv2
import numpy as np
from common import measure, options
from onnx_peers import letterboxed, session

MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])

arguments = options("--detector", "--pose")
detector, pose = session(arguments.detector), session(arguments.pose)
pose_input = pose.get_inputs()[0].name
target = np.random.default_rng(1).random(34)


def person(picture: np.ndarray) -> tuple[int, int, int, int]:
    image, scale = letterboxed(picture, 640)
    rows = detector.run(None, {"image": image})[0][0].T  # [8400, 4 + 80]
    people = rows[rows[:, 4] > 0.25]
    boxes = people[:, :4] / scale
    boxes[:, :2] -= boxes[:, 2:] / 2
    kept = cv2.dnn.NMSBoxes(boxes.tolist(), people[:, 4].tolist(), 0.25, 0.7)
    height, width = picture.shape[:2]
    if len(kept) == 0:
        return width // 3, 0, 2 * width // 3, height
    x, y, w, h = boxes[int(np.array(kept).reshape(-1)[0])].astype(int)
    x1, y1 = min(max(x, 0), width - 2), min(max(y, 0), height - 2)
    return x1, y1, min(max(x + w, x1 + 2), width), min(max(y + h, y1 + 2), height)


def process(picture: np.ndarray) -> float:
    x1, y1, x2, y2 = person(picture)
    crop = cv2.resize(picture[y1:y2, x1:x2], (192, 256))[:, :, ::-1].astype(np.float32) / 255
    image = ((crop - MEAN) / STD).transpose(2, 0, 1)[None].astype(np.float32)
    heatmaps = pose.run(None, {pose_input: image})[0][0]  # [17, 64, 48]
    at = heatmaps.reshape(17, -1).argmax(1)
    points = np.stack([at % 48 / 48, at // 48 / 64], 1).reshape(-1)
    return float(points @ target / (np.linalg.norm(points) * np.linalg.norm(target) + 1e-9))


measure(arguments.clip, arguments.frames, process)
