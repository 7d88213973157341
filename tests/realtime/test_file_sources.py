"""Videos and pictures as sources: which frames they give, and at what time."""

import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from engines.errors import SourceError
from realtime.sources import Source
from tests.realtime.fakes import FakeClock
from tests.realtime.opened_sources import (
    CODECS,
    FPS,
    HEIGHT,
    WIDTH,
    ScriptedVideo,
    assert_one_sentence,
    everything,
    opened,
    written_picture,
    written_video,
)


@pytest.mark.parametrize("suffix", CODECS)
def test_a_video_gives_every_frame_in_turn_with_its_media_time(tmp_path: Path, suffix: str) -> None:
    source = opened(written_video(tmp_path / f"clip{suffix}"))
    assert (source.live, source.stills, source.size, source.fps) == (False, False, (WIDTH, HEIGHT), FPS)
    captures = everything(source)
    assert [round(float(one.image.mean()) / 20) for one in captures] == list(range(12))
    assert [one.seconds for one in captures] == pytest.approx([index / FPS for index in range(12)], abs=1e-6)


def test_a_video_without_pace_is_not_waited_for(tmp_path: Path) -> None:
    clock = FakeClock()
    everything(opened(written_video(tmp_path / "clip.mp4"), clock))
    assert clock.waits == []


def test_a_paced_video_gives_each_frame_at_its_own_time(tmp_path: Path) -> None:
    clock = FakeClock()
    source = opened(written_video(tmp_path / "clip.mp4"), clock, pace=True)
    assert source.live
    clock.advance(5)
    start = clock.now_ns()
    captures = everything(source)
    assert [(one.captured_ns - start) / 1e9 for one in captures] == pytest.approx([one.seconds for one in captures])
    assert clock.waits == pytest.approx([0.0] + [0.04] * 11)


def test_a_paced_video_that_is_read_late_does_not_add_to_the_delay(tmp_path: Path) -> None:
    clock = FakeClock()
    source = opened(written_video(tmp_path / "clip.mp4"), clock, pace=True)
    start, stop = clock.now_ns(), threading.Event()
    source.read(stop)
    clock.advance(0.1)
    late, next_one = source.read(stop), source.read(stop)
    source.close()
    assert late is not None and next_one is not None
    assert (late.captured_ns - start) / 1e9 == pytest.approx(0.1)
    assert clock.waits[-1] < 0 and (next_one.captured_ns - start) / 1e9 == pytest.approx(0.1)
    assert next_one.seconds == pytest.approx(0.08)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Source]:
    """Opens a file whose frames have the given times."""

    def opened_with(times: list[float | None], *, fps: float = 25.0, pace: bool = False, clock: FakeClock) -> Source:
        monkeypatch.setattr(cv2, "VideoCapture", lambda *_: ScriptedVideo(times, fps))
        path = tmp_path / "clip.mp4"
        path.touch()
        return opened(path, clock, pace=pace)

    return opened_with


@pytest.mark.parametrize(
    ("told", "times"),
    [
        ([0.0, 0.04, 0.08], [0.0, 0.04, 0.08]),
        ([0.0, 0.03, 0.11], [0.0, 0.03, 0.11]),
        ([0.0, 0.0, 0.0], [0.0, 0.04, 0.08]),
        ([0.0, 0.04, 0.02, 0.12], [0.0, 0.04, 0.08, 0.12]),
        ([0.0, 0.5, 0.0, 0.0], [0.0, 0.5, 0.501, 0.502]),
        ([0.0, 1e6, 2e6], [0.0, 0.04, 0.08]),
        ([-3.0, -2.96, 0.08], [0.0, 0.04, 0.08]),
    ],
)
def test_media_times_increase_whatever_the_file_tells(
    scripted: Callable[..., Source], told: list[float], times: list[float]
) -> None:
    assert [one.seconds for one in everything(scripted(told, clock=FakeClock()))] == pytest.approx(times)


def test_a_rate_below_one_is_a_rate(scripted: Callable[..., Source]) -> None:
    assert scripted([0.0, 2.0, 4.0], fps=0.5, clock=FakeClock()).fps == 0.5


@pytest.mark.parametrize("fps", [0.0, -1.0, 90_000.0, float("nan")])
def test_a_rate_that_no_camera_has_becomes_thirty(scripted: Callable[..., Source], fps: float) -> None:
    source = scripted([0.0, 0.0, 0.0], fps=fps, clock=FakeClock())
    assert source.fps == 30
    assert [one.seconds for one in everything(source)] == pytest.approx([0, 1 / 30, 2 / 30])


def test_a_paced_clip_that_begins_late_in_its_own_time_begins_at_once(scripted: Callable[..., Source]) -> None:
    clock = FakeClock()
    captures = everything(scripted([5.0, 5.04, 5.08], pace=True, clock=clock))
    assert [one.seconds for one in captures] == [5.0, 5.04, 5.08]
    assert clock.waits == pytest.approx([0, 0.04, 0.04])


def test_a_picture_is_one_frame(tmp_path: Path) -> None:
    clock = FakeClock()
    source = opened(written_picture(tmp_path / "one.png"), clock)
    assert (source.live, source.stills, source.size, source.fps) == (False, True, (WIDTH, HEIGHT), 1)
    (capture,) = everything(source)
    assert capture.seconds == 0 and capture.captured_ns == clock.now_ns() and int(capture.image[0, 0, 0]) == 90


@pytest.mark.parametrize("whole", [True, False])
def test_a_pattern_gives_its_pictures_in_order_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    for index in (3, 1, 2):
        written_picture(tmp_path / f"{index}.png", 50 * index)
    (tmp_path / "4.txt").write_text("no picture")
    monkeypatch.chdir(tmp_path)
    captures = everything(opened(tmp_path / "*" if whole else "*"))
    assert [int(one.image[0, 0, 0]) for one in captures] == [50, 100, 150]
    assert [one.seconds for one in captures] == [0, 1, 2]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    written_picture(tmp_path / "a[1].png", 70)
    written_picture(tmp_path / "a1.png", 20)
    (capture,) = everything(opened(tmp_path / "a[1].png"))
    assert int(capture.image[0, 0, 0]) == 70


def test_a_broken_picture_among_others_is_named_when_its_turn_comes(tmp_path: Path) -> None:
    written_picture(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"no picture")
    source, stop = opened(tmp_path / "*.png"), threading.Event()
    assert source.read(stop) is not None
    with pytest.raises(SourceError, match=r"2\.png holds no picture") as caught:
        source.read(stop)
    assert_one_sentence(caught.value)


def test_a_video_that_is_closed_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = ScriptedVideo([0.0, 0.04])
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: video)
    path = tmp_path / "clip.mp4"
    path.touch()
    source = opened(path)
    assert not video.released
    source.close()
    assert video.released
