"""The time code: every number comes back, however a camera sees it, and what is no code is no number."""

import cv2
import numpy as np
import pytest

from realtime.frames import Picture
from realtime.time_code import NUMBERS, cells_of, draw_code, read_code

SOME = (0, 1, 2, 255, 1234, 21_845, 32_768, 65_535)


def seen(
    screen: Picture,
    *,
    size: tuple[int, int] = (640, 480),
    scale: float = 0.7,
    tilt: float = 0.0,
    turn: float = 0.0,
    blur: float = 0.0,
    noise: float = 0.0,
    light: tuple[float, float] = (60.0, 0.5),
    seed: int = 1,
) -> Picture:
    """A screen as a camera sees it: smaller, in perspective, turned, out of focus, noisy, grey for black and white."""
    height, width = screen.shape[:2]
    half = np.array([size[0] * scale / 2, size[0] * scale * height / width / 2])
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    corners[[1, 2], 1] *= 1 - tilt
    angle = np.deg2rad(turn)
    corners = corners @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) + np.array(size) / 2
    whole = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(whole, corners.astype(np.float32))
    dark, gain = light
    room = cv2.warpPerspective(screen, matrix, size, flags=cv2.INTER_AREA, borderValue=(70, 90, 110)) * gain + dark
    if blur:
        room = cv2.GaussianBlur(room, (0, 0), blur)
    room = room + np.random.default_rng(seed).normal(0, noise, room.shape) if noise else room
    return np.clip(room, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("number", SOME)
def test_a_number_comes_back_from_the_screen_itself(number: int) -> None:
    assert read_code(draw_code(number, 640, 360)) == number


@pytest.mark.parametrize(
    "how",
    [
        {"scale": 0.25},
        {"scale": 1.0},
        {"tilt": 0.35},
        {"turn": 12},
        {"turn": -20, "tilt": 0.2},
        {"turn": 180},
        {"blur": 3.0},
        {"noise": 20.0},
        {"light": (10.0, 0.2)},
        {"light": (120.0, 0.5)},
        {"scale": 0.5, "tilt": 0.2, "turn": 7, "blur": 1.5, "noise": 12.0, "light": (40.0, 0.5)},
    ],
)
@pytest.mark.parametrize("number", [1234, 40_000])
def test_a_number_comes_back_however_the_camera_sees_it(number: int, how: dict[str, float]) -> None:
    assert read_code(seen(draw_code(number, 640, 360), **how)) == number  # type: ignore[arg-type]


def test_a_mirrored_picture_has_the_same_number() -> None:
    picture = seen(draw_code(40_000, 640, 360), turn=5)
    assert read_code(np.ascontiguousarray(picture[:, ::-1])) == 40_000


@pytest.mark.parametrize("share", [0.1, 0.3, 0.45, 0.5, 0.55, 0.7, 0.9])
@pytest.mark.parametrize("number", [0, 7, 1023, 4095, 32_767, 65_534])
def test_two_codes_in_one_exposure_are_read_as_one_of_the_two(number: int, share: float) -> None:
    mixed = draw_code(number, 640, 360) * (1 - share) + draw_code(number + 1, 640, 360) * share
    read = read_code(seen(mixed.astype(np.uint8), noise=8.0, blur=1.0, seed=number))
    assert read in (number, number + 1)
    if abs(share - 0.5) >= 0.2:
        assert read == number + (share > 0.5)


def test_codes_far_apart_in_one_exposure_are_refused_rather_than_read_wrongly() -> None:
    for number, other in ((0, 21_845), (1234, 40_000), (5, 90)):
        mixed = draw_code(number, 640, 360) * 0.5 + draw_code(other, 640, 360) * 0.5
        assert read_code(seen(mixed.astype(np.uint8))) is None


def test_what_is_no_code_is_no_number() -> None:
    generator = np.random.default_rng(3)
    blank = np.full((480, 640, 3), 200, np.uint8)
    framed = blank.copy()
    cv2.rectangle(framed, (100, 100), (540, 380), (0, 0, 0), 20)
    noise = generator.integers(0, 255, (480, 640, 3)).astype(np.uint8)
    board = np.kron(np.indices((12, 16)).sum(0) % 2, np.ones((40, 40)))[..., None].repeat(3, 2).astype(np.uint8) * 255
    for picture in (blank, framed, noise, board, blank * 0):
        assert read_code(picture) is None


def test_a_damaged_code_is_never_another_number() -> None:
    generator = np.random.default_rng(4)
    for _ in range(60):
        number = int(generator.integers(NUMBERS))
        picture = draw_code(number, 640, 360)
        x, y = generator.integers(80, 560), generator.integers(20, 340)
        cv2.circle(picture, (int(x), int(y)), 30, (int(generator.integers(255)),) * 3, -1)
        assert read_code(picture) in (number, None)


def test_neighbours_differ_in_one_bit_and_the_parity() -> None:
    for number in (*range(300), 32_767):
        assert (cells_of(number) != cells_of(number + 1)).sum() == 4
