"""The delay from screen to camera: a simulated screen and camera of known delay give it back within a frame."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.errors import BadInputError, SourceError
from realtime import glass_to_glass
from realtime.frames import Picture
from realtime.glass_to_glass import Back, LookOnly, Measurement, camera_thread, composed, measure
from realtime.pipeline import Pipeline, Shown
from realtime.time_code import read_code
from tests.fixtures import the_sentence
from tests.realtime.fakes import FRAME_SIZE, FakeClock, FakeSource, result_of
from tests.realtime.test_time_code import seen

HOLD_MS = 33.3
CAMERA_MS = 1000 / 30


class Glass:
    """A screen, and a camera that looks at it: exposes for a while, hands its picture over later.

    Args:
        clock: moved on by whoever waits for a picture.
        delay_ms: from the middle of an exposure until its picture is there.
        exposure_ms: how long it collects light: pictures mix what was on the screen meanwhile.
        how: see `tests.realtime.test_time_code.seen`.
    """

    def __init__(self, clock: FakeClock, delay_ms: float, exposure_ms: float, **how: float) -> None:
        self.clock, self.delay_ms, self.exposure_ms, self.how = clock, delay_ms, exposure_ms, how
        self.on_screen: list[tuple[float, Picture]] = []
        self.next_ms = self.now_ms() + 200

    def now_ms(self) -> float:
        return self.clock.now_ns() / 1e6

    def show(self, picture: Picture) -> bool:
        self.on_screen = [*self.on_screen[-60:], (self.now_ms(), picture)]
        return True

    def at(self, moment_ms: float) -> Picture:
        """What the screen showed."""
        return next(
            (picture for began, picture in reversed(self.on_screen) if began <= moment_ms), self.on_screen[0][1]
        )

    def back(self, seconds: float) -> Back | None:
        """The camera's next picture, when it is there in time."""
        there_ms = self.next_ms + self.delay_ms
        if there_ms > self.now_ms() + 1e3 * seconds:
            self.clock.advance(seconds)
            return None
        self.clock.advance(max(0.0, there_ms - self.now_ms()) / 1e3)
        moments = self.next_ms + self.exposure_ms * (np.arange(8) / 8 - 7 / 16)
        light = np.mean([self.at(moment)[::2, ::2].astype(np.float32) for moment in moments], 0)
        self.next_ms += CAMERA_MS
        picture = seen(light.astype(np.uint8), **self.how)  # type: ignore[arg-type]
        return Back(picture, lambda: picture)


def measured(delay_ms: float, exposure_ms: float, frames: int = 40, **how: float) -> Measurement:
    clock = FakeClock()
    glass = Glass(clock, delay_ms, exposure_ms, **how)
    measurement = Measurement(round(HOLD_MS * 1e6))
    measure(glass, glass.back, clock, measurement, frames=frames, timeout_seconds=5)
    return measurement


@pytest.mark.parametrize("delay_ms", [20.0, 85.0, 240.0])
@pytest.mark.parametrize("exposure_ms", [2.0, 30.0])
def test_a_known_delay_comes_back_within_a_frame(delay_ms: float, exposure_ms: float) -> None:
    measurement = measured(delay_ms, exposure_ms, scale=0.9)
    summary = measurement.delay.summary()
    assert summary["p50"] == pytest.approx(delay_ms, abs=HOLD_MS / 2 + 1)
    assert summary["max"] <= delay_ms + HOLD_MS
    assert measurement.unread <= 12, "nearly every picture is read, those of changing screens included"


def test_a_known_delay_comes_back_through_a_tilted_blurred_noisy_camera() -> None:
    measurement = measured(85.0, 20.0, scale=0.8, tilt=0.15, turn=6, blur=1.0, noise=8.0)
    assert measurement.delay.summary()["p50"] == pytest.approx(85, abs=HOLD_MS / 2 + 1)


def test_a_camera_that_looks_elsewhere_is_told_of() -> None:
    clock = FakeClock()
    glass = Glass(clock, 50, 10)
    glass.at = lambda moment_ms: np.full((720, 1280, 3), 90, np.uint8)  # type: ignore[method-assign]
    with pytest.raises(BadInputError, match="saw no time code for 2 s") as caught:
        measure(glass, glass.back, clock, Measurement(round(HOLD_MS * 1e6)), frames=5, timeout_seconds=2)
    assert "point the camera at this screen" in caught.value.next_step


def test_with_engines_the_delay_ends_when_the_picture_is_on_the_screen_again() -> None:
    clock = FakeClock()
    glass = Glass(clock, 60, 5, scale=0.9)
    show = glass.show

    def slow(picture: Picture) -> bool:
        clock.advance(0.004)
        return show(picture)

    glass.show = slow  # type: ignore[method-assign]
    measurement = Measurement(round(HOLD_MS * 1e6))
    measure(glass, glass.back, clock, measurement, frames=20, timeout_seconds=5, whole=True)
    assert measurement.delay.summary()["p50"] == pytest.approx(64, abs=HOLD_MS / 2 + 1)


class Camera:
    """A loop that gives pictures as fast as they are asked for; the picture's memory is used again."""

    def __init__(self, pictures: int | None = None) -> None:
        self.given, self._pictures, self._image = 0, pictures, np.zeros((2, 2, 3), np.uint8)
        self.wanted = self.ahead = 0
        self._stopped = threading.Event()

    def run(self) -> Iterator[Shown]:
        while self.given != self._pictures and not self._stopped.is_set():
            self.given += 1
            self._image[:] = self.given
            yield Shown(result_of(self.given), self._image, 0)
            self.ahead = max(self.ahead, self.given - self.wanted)  # asked for another before this one was

    def stop(self) -> None:
        self._stopped.set()


def test_a_camera_that_is_faster_than_the_screen_waits_for_it_and_its_pictures_stay() -> None:
    camera = Camera()
    with camera_thread(camera, lambda picture, result: picture) as back:  # type: ignore[arg-type]
        backs = []
        for _ in range(3):
            camera.wanted += 1
            backs.append(back(10))
            assert camera.given <= len(backs) + 1
    assert camera.ahead == 0
    assert [int(one.picture.max()) for one in backs if one] == [1, 2, 3]
    assert [int(one.drawn().max()) for one in backs if one] == [1, 2, 3]


def test_leaving_a_running_loop_leaves_no_thread() -> None:
    pipeline = Pipeline(FakeSource(None), LookOnly(), FRAME_SIZE[::-1], FakeClock())
    with camera_thread(pipeline, lambda picture, result: picture) as back:
        assert back(10) is not None
    assert not [thread for thread in threading.enumerate() if thread.name == "camera"]


def test_a_source_that_ends_is_told_of_at_once() -> None:
    with camera_thread(Camera(1), lambda picture, result: picture) as back:  # type: ignore[arg-type]
        assert back(10) is not None
        with pytest.raises(SourceError, match="the source ended"):
            back(10)


def test_who_closes_the_window_ends_it() -> None:
    clock = FakeClock()
    glass = Glass(clock, 50, 10)
    glass.show = lambda picture: False  # type: ignore[method-assign]
    measurement = Measurement(1)
    measure(glass, glass.back, clock, measurement, frames=5, timeout_seconds=2)
    assert measurement.delay.count == 0


def test_an_old_number_that_nobody_showed_has_no_delay() -> None:
    measurement = Measurement(10)
    measurement.put(7, 100)
    assert measurement.take(seen(composed(8, None, measurement, 0.0)[::2, ::2], scale=0.9), 200) is None
    assert (measurement.unread, measurement.delay.count) == (1, 0)


def test_the_view_of_the_camera_on_the_screen_is_not_taken_for_a_code() -> None:
    view = composed(9, None, Measurement(10), 0.0)
    screen = composed(8, view, Measurement(10), 0.0)
    assert read_code(screen) == 8
    screen[:, :880] = 255
    assert read_code(screen) is None


def test_without_a_screen_it_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(glass_to_glass, "display_problem", lambda: "DISPLAY is not set")
    assert glass_to_glass.main([]) == 2
    assert "DISPLAY is not set" in the_sentence(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("--frames", "0", "a whole number of 1 and more"),
        ("--frames", "many", "a whole number of 1 and more"),
        ("--hold-ms", "nan", "5 to 1000 ms"),
        ("--hold-ms", "0", "5 to 1000 ms"),
        ("--timeout", "-1", "1 to 86400 seconds"),
    ],
)
def test_a_number_out_of_range_is_named_with_what_is_allowed(
    option: str, value: str, allowed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        glass_to_glass.main([f"{option}={value}"])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.count("\n") == 1
    assert f"argument {option}: {value!r}" in said and allowed in said


def test_figures_go_to_a_json_file_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert glass_to_glass.main(["--out", str(tmp_path / "figures.csv")]) == 2
    assert "--out" in (said := the_sentence(capsys.readouterr().err)) and ".json is allowed" in said
