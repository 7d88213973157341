"""Which clock stamps a camera's pictures: the driver's only while it can be believed."""

import sys

import cv2
import pytest

from realtime.capture_clock import DRIVER, GRAB, CaptureClock
from tests.realtime.fakes import FakeClock


class Driver:
    """A camera whose driver tells the given times, ms."""

    def __init__(self, *told_ms: float, backend: str = "V4L2", gives: bool = True) -> None:
        self._told, self._backend, self._gives = iter(told_ms), backend, gives
        self.grabs = 0

    def grab(self) -> bool:
        self.grabs += 1
        return self._gives

    def getBackendName(self) -> str:  # noqa: N802
        return self._backend

    def get(self, prop: int) -> float:
        assert prop == cv2.CAP_PROP_POS_MSEC
        return next(self._told)


@pytest.fixture(autouse=True)
def linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")


def begun(driver: Driver, now_ms: float = 10_000.0) -> CaptureClock:
    stamps = CaptureClock()
    stamps.begin(driver, FakeClock(now_ms))  # type: ignore[arg-type]
    return stamps


def stamp_ms(stamps: CaptureClock, driver: Driver, now_ms: float) -> float:
    return stamps.stamp(driver, round(now_ms * 1e6)) / 1e6  # type: ignore[arg-type]


def test_a_plausible_driver_is_believed() -> None:
    driver = Driver(9980.0, 10_013.3, 10_046.7)
    stamps = begun(driver)
    assert stamps.kind == DRIVER
    assert stamp_ms(stamps, driver, 10_040) == pytest.approx(10_013.3)
    assert stamp_ms(stamps, driver, 10_075) == pytest.approx(10_046.7)


@pytest.mark.parametrize("told", [0.0, -1.0, 1.8e12, 10_000.1, 8_999.0])
def test_a_driver_with_another_clock_is_stamped_at_the_grab(told: float) -> None:
    driver = Driver(told)
    stamps = begun(driver)
    assert stamps.kind == GRAB
    assert stamp_ms(stamps, driver, 10_040) == 10_040


@pytest.mark.parametrize("told", [9_980.0, 9_970.0, 0.0, 10_041.0, 9_039.0])
def test_a_driver_whose_time_stands_still_or_goes_wrong_is_believed_no_longer(told: float) -> None:
    driver = Driver(9_980.0, told, 10_060.0)
    stamps = begun(driver)
    assert stamp_ms(stamps, driver, 10_040) == 10_040
    assert stamps.kind == GRAB
    assert stamp_ms(stamps, driver, 10_075) == 10_075


@pytest.mark.parametrize("driver", [Driver(9_980.0, backend="FFMPEG"), Driver(9_980.0, gives=False)])
def test_a_stream_or_a_camera_without_a_first_picture_is_stamped_at_the_grab(driver: Driver) -> None:
    assert begun(driver).kind == GRAB


def test_other_systems_are_stamped_at_the_grab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    driver = Driver(9_980.0)
    assert begun(driver).kind == GRAB and driver.grabs == 0
