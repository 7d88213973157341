"""What a person sees of a frame: the overlay, or why the picture is too old; over the picture or over a plain ground.

Knows no window, file or network.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engines.execution import ChainInfo
from realtime.brush import POOR
from realtime.coach import LATE, brightness, hint_for
from realtime.frames import Picture
from realtime.gauges import draw_banner, hint_lines
from realtime.overlay import REFERENCE_SIZE, View, draw_overlay
from realtime.results import STALE, FrameResult
from realtime.station import Station


@dataclass(frozen=True)
class Screen:
    """What is drawn for one frame.

    Args:
        over: draws it over a picture uint8 [H, W, 3] BGR, which stays as it is; gives a new one.
        view: what the station adds to the result.
    """

    over: Callable[[Picture], Picture]
    view: View


def screen_of(image: Picture, result: FrameResult, station: Station, info: ChainInfo, latency: str) -> Screen:
    """The frame as a person sees it. Of `image` only its brightness is looked at."""
    if result.status == STALE:
        return old_screen(image, result, station.mirror)
    joints, view = station.view(result, latency)
    return Screen(lambda ground: draw_overlay(ground, result, joints, view, info.visible_confidence), view)


def old_screen(image: Picture, result: FrameResult, mirror: bool) -> Screen:
    """A picture too old to be live: no skeleton, no score, and what to do; darkened if the camera is at fault."""
    height, width = image.shape[:2]
    hint = hint_for(result, (width, height), brightness(image))

    def over(ground: Picture) -> Picture:
        picture = np.ascontiguousarray(ground[:, ::-1]) if mirror else ground
        canvas = picture.copy() if hint == LATE else (picture // 4).astype(picture.dtype)
        draw_banner(canvas, hint_lines(hint), POOR, min(height / REFERENCE_SIZE[1], width / REFERENCE_SIZE[0]))
        return canvas

    return Screen(over, View(title=result.target, hint=hint))
