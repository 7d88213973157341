"""The soak: it runs the whole loop, and it finds what grows. The hour itself is docs/latency.md's."""

import json

import pytest

from benchmarks.soak import Look, judged, main
from tests.fixtures import bright_blob, tiny_graphs, write_engines
from tests.realtime.fakes import FRAME_SIZE, target_json, written_clip

WIDTH, HEIGHT = FRAME_SIZE
FRAMES = 5400
"""Three minutes of a camera of 30 frames a second; here they come as fast as the loop takes them."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """One soak through real engines of tiny networks."""
    folder = tmp_path_factory.mktemp("soak")
    size = (HEIGHT, WIDTH)
    write_engines(folder / "engines", tiny_graphs(size, (96, 160), 1), size, (96, 160), 1)
    (folder / "pose.json").write_text(json.dumps(target_json()))
    pictures = [bright_blob(size, 120 + index, 90, 30) for index in range(60)]
    clip = written_clip(folder / "clip.avi", pictures, 30.0)
    options = {"frames": FRAMES, "clip": clip, "target": folder / "pose.json", "engines": folder / "engines"}
    options |= {"encoder": "bones", "out": folder / "out"}
    main([f"--{name}={value}" for name, value in options.items()])
    assert (folder / "out.png").stat().st_size > 10_000
    written: dict[str, object] = json.loads((folder / "out.json").read_text())
    return written


@pytest.mark.slow
def test_three_minutes_of_frames_leave_memory_files_and_threads_as_they_were(report: dict[str, object]) -> None:
    trends = report["trends_a_minute"]
    for name, allowed in (("memory_mb", 3.0), ("files", 0.0), ("threads", 0.0)):
        grown = trends[name]["last"] - trends[name]["first"]  # type: ignore[index]
        assert grown <= allowed, f"{name} grew by {grown:g} over {FRAMES} frames"


@pytest.mark.slow
def test_every_frame_of_a_soak_is_accounted_for(report: dict[str, object]) -> None:
    assert FRAMES <= report["shown"] <= FRAMES + 3  # type: ignore[operator]
    assert len(report["looks"]) >= 60  # type: ignore[arg-type]


def looks(**growth: float) -> list[Look]:
    """An hour; `growth` a minute."""
    return [
        Look(
            minutes=minute,
            memory_mb=280 + growth.get("memory_mb", 0.0) * minute,
            files=int(11 + growth.get("files", 0.0) * minute),
            threads=int(12 + growth.get("threads", 0.0) * minute),
            age_ms=40 + growth.get("age_ms", 0.0) * minute,
            dropped=0,
        )
        for minute in range(1, 61)
    ]


def test_a_steady_hour_passes() -> None:
    assert judged(looks())[1] == []


@pytest.mark.parametrize(
    ("name", "growth"), [("memory_mb", 0.21), ("age_ms", 0.051), ("files", 0.02), ("threads", 0.02)]
)
def test_what_grows_is_named(name: str, growth: float) -> None:
    (said,) = judged(looks(**{name: growth}))[1]
    assert name in said


def test_what_grows_in_the_warm_up_only_does_not_count() -> None:
    hour = [Look(look.minutes, 200 + 20 * min(look.minutes, 5), 11, 12, 40, 0) for look in looks()]
    assert judged(hour)[1] == []
