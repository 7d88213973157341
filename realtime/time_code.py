"""A number on a screen that a camera can read: drawn as black and white cells, found and decoded again. Knows no clock.

A black frame on white holds 6 rows of 8 cells. Row 0 is the track: alternately white and black, which proves that the
grid lies right and tells what white and black are in this picture. Rows 1 to 5 hold 20 pairs of cells, a bit each:
white then black is 1, black then white is 0. 16 of them are the number in Gray code, so that neighbouring numbers
differ in one bit, 3 are fixed (1, 0, 0: which way up, and whether mirrored), one is the parity.

A camera that looks while the screen changes sees a mixture of two codes. All pairs but two agree then (the changed bit
and the parity), and those two lean the same way: what is read is one of the two numbers, never a third.
"""

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from realtime.frames import Picture

BITS = 16
NUMBERS = 1 << BITS
ROWS, COLUMNS = 6, 8
BORDER = 1
"""The black frame's width, in cells; inside it is one cell of white."""
QUIET = 1
GRID_WIDTH, GRID_HEIGHT = COLUMNS + 2 * (BORDER + QUIET), ROWS + 2 * (BORDER + QUIET)
UP = (1, 0, 0)
LEAST_CONTRAST = 24.0
"""Grey levels between white and black below which a picture is too flat to be read."""
CLEAR = 0.35
"""How far apart a pair's cells are, as a share of white minus black, for the bit to be sure."""
LEAST_SIDE_PX = 40
CELL_PX = 16
"""Size of a cell in the straightened picture."""

Points = npt.NDArray[np.float32]


def cells_of(number: int) -> npt.NDArray[np.bool_]:
    """The cells of a number, bool [6, 8], True for white."""
    gray = number ^ (number >> 1)
    bits = [gray >> place & 1 for place in range(BITS)]
    bits = [*UP, *bits, number & 1]  # the parity of a Gray code is the number's lowest bit
    cells = np.zeros((ROWS, COLUMNS), np.bool_)
    cells[0] = np.arange(COLUMNS) % 2 == 0
    pairs = np.array(bits, np.bool_).reshape(ROWS - 1, COLUMNS // 2)
    cells[1:, ::2], cells[1:, 1::2] = pairs, ~pairs
    return cells


def draw_code(number: int, width: int, height: int) -> Picture:
    """The code in the middle of a white picture uint8 [height, width, 3], as large as fits."""
    cell = max(1, min(width // (GRID_WIDTH + 2), height // (GRID_HEIGHT + 2)))
    grid = np.zeros((GRID_HEIGHT, GRID_WIDTH), np.uint8)
    grid[BORDER:-BORDER, BORDER:-BORDER] = 255
    inside = BORDER + QUIET
    grid[inside:-inside, inside:-inside] = np.where(cells_of(number % NUMBERS), 255, 0)
    large = np.kron(grid, np.ones((cell, cell), np.uint8))
    picture = np.full((height, width, 3), 255, np.uint8)
    top, left = (height - large.shape[0]) // 2, (width - large.shape[1]) // 2
    picture[top : top + large.shape[0], left : left + large.shape[1]] = large[..., None]
    return picture


def read_code(picture: Picture) -> int | None:
    """The number that a picture uint8 [h, w, 3] shows, mirrored or not, at any angle; None when none is sure."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    for corners in frames_in(grey):
        number = number_in(straightened(grey, corners))
        if number is not None:
            return number
    return None


def frames_in(grey: Picture) -> Iterator[Points]:
    """Corners float32 [4, 2] of dark quadrangles on light ground, the largest first."""
    soft = cv2.GaussianBlur(grey, (5, 5), 0)
    side = max(31, min(grey.shape) // 4 | 1)
    for dark in (
        cv2.threshold(soft, 0, 255, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)[1],
        cv2.adaptiveThreshold(soft, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, side, 8),
    ):
        outlines = cv2.findContours(dark, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)[0]
        for outline in sorted(outlines, key=cv2.contourArea, reverse=True)[:8]:
            hull = cv2.convexHull(outline)
            if cv2.contourArea(hull) < LEAST_SIDE_PX**2:
                break
            corners = cv2.approxPolyDP(hull, 0.03 * cv2.arcLength(hull, True), True)
            if len(corners) == 4:
                yield corners[:, 0].astype(np.float32)


def straightened(grey: Picture, corners: Points) -> npt.NDArray[np.float32]:
    """Grey levels of the whole grid, seen straight on: float32 [10, 12], the middle of each cell."""
    width, height = GRID_WIDTH * CELL_PX, GRID_HEIGHT * CELL_PX
    # the longer sides of what was seen are the grid's width
    first, second = (float(np.linalg.norm(corners[a] - corners[b])) for a, b in ((0, 1), (1, 2)))
    there = corners if first >= second else np.roll(corners, 1, 0)
    straight = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    flat = cv2.warpPerspective(grey, cv2.getPerspectiveTransform(there, straight), (width, height))
    cells = flat.reshape(GRID_HEIGHT, CELL_PX, GRID_WIDTH, CELL_PX).astype(np.float32)
    margin = CELL_PX // 4
    middle: npt.NDArray[np.float32] = cells[:, margin:-margin, :, margin:-margin].mean((1, 3))
    return middle


def number_in(grid: npt.NDArray[np.float32]) -> int | None:
    """The number in a straightened grid, in whichever of its four positions it makes sense."""
    inside = BORDER + QUIET
    cells = grid[inside:-inside, inside:-inside]
    for turned in (cells, cells[::-1, ::-1], cells[:, ::-1], cells[::-1]):
        number = decoded(turned)
        if number is not None:
            return number
    return None


def decoded(cells: npt.NDArray[np.float32]) -> int | None:
    """The number of the cells float32 [6, 8] of grey levels, seen the right way; None when anything is in doubt."""
    white, black = cells[0, ::2], cells[0, 1::2]
    contrast = float(white.mean() - black.mean())
    if contrast < LEAST_CONTRAST or white.min() <= black.max():
        return None
    lean = ((cells[1:, ::2] - cells[1:, 1::2]) / contrast).reshape(-1)
    bits = lean > 0
    if tuple(bits[: len(UP)]) != tuple(bool(one) for one in UP) or (np.abs(lean[: len(UP)]) < CLEAR).any():
        return None
    data, parity = bits[len(UP) : -1], bits[-1]
    unsure = np.flatnonzero(np.abs(lean[len(UP) : -1]) < CLEAR)
    if len(unsure) > 1:
        return None
    gray = sum(int(bit) << place for place, bit in enumerate(data))
    if bool(int(data.sum()) & 1) != bool(parity):
        if len(unsure) != 1 or abs(lean[-1]) >= CLEAR:
            return None
        # the changed bit and the parity lean apart by noise alone: the surer of the two decides
        place = int(unsure[0])
        if abs(lean[len(UP) + place]) < abs(lean[-1]):
            gray ^= 1 << place
    number = gray
    for shift in (1, 2, 4, 8):
        number ^= number >> shift
    return number
