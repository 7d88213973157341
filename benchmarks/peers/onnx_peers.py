"""What the peers on ONNX Runtime share: a session on all cores, and the letterbox of ultralytics."""

import cv2
import numpy as np
import onnxruntime


def session(path: str) -> onnxruntime.InferenceSession:
    """All cores; threads that wait do not spin, which is kind to its CPU time."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])


def letterboxed(picture: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """A picture as float32 [1, 3, side, side] RGB 0..1 on grey, and its scale."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    small = cv2.resize(picture, (round(width * scale), round(height * scale)))
    square = np.full((side, side, 3), 114, np.uint8)
    square[: small.shape[0], : small.shape[1]] = small
    return np.ascontiguousarray(square[None, :, :, ::-1].transpose(0, 3, 1, 2), np.float32) / 255, scale
