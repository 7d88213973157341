"""The report: one page that needs nothing else, the holds as they were, a CSV, and its exit codes."""

import asyncio
import csv
import html.parser
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from engines.errors import EXIT_BAD_INPUT
from realtime import report
from realtime.mailbox import Ledger
from realtime.recording import read_recording
from realtime.results import FrameResult, frame_row
from realtime.routine import Routine, RoutineState, Step
from realtime.session import session_row, summary_row
from realtime.statistics import Statistics
from realtime.svg import line_plot, nice_ticks
from tests.faults.disks import files_of_at_most
from tests.realtime.fakes import FakeSource, chain_info, result_of, standing_target
from tests.realtime.web.browser import DEADLINE_SECONDS, open_tab, running_browser

ROUTINE = Routine("<Morning> & co", tuple(Step(standing_target(name), 1.0, 0.5) for name in ("A", "=B")), 2)


def frames() -> list[FrameResult]:
    """Someone who passes, breaks off the first hold once, and is out of view for a while at the end."""
    state, results = RoutineState(ROUTINE), []
    for index in range(120):
        target = state.step.target.name
        score = 20.0 if 5 <= index < 10 else 95.0
        result = result_of(index, seconds=index * 0.1, score=score, target=target, age_ms=40.0 + index)
        if index >= 110:
            result = replace(
                result, status="no_person", reason="nobody", score=None, distance=None, joints=None, box=None
            )
            result = replace(result, keypoints=None)
        now = state.update(index * 0.1, result.score)
        results.append(
            replace(result, phase=now.phase, repetition=now.repetition, hold_seconds=round(now.hold_seconds, 3))
        )
    return results


@pytest.fixture
def results(tmp_path: Path) -> Path:
    statistics = Statistics()
    rows = [session_row(chain_info(), FakeSource(1), ROUTINE.targets[0], True, ROUTINE)]
    for result in frames():
        statistics.add(result)
        rows.append(frame_row(result))
    rows.append(summary_row(Ledger(captured=123, shown=120, dropped=3), statistics, "grab"))
    path = tmp_path / "out.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_every_hold_is_told_with_how_it_ended(results: Path) -> None:
    holds = report.holds_of(read_recording(results))
    assert [(hold.target, hold.repetition, hold.complete) for hold in holds] == [
        ("A", 1, False),
        ("A", 1, True),
        ("=B", 1, True),
        ("A", 2, True),
        ("=B", 2, True),
    ]
    assert [hold.seconds for hold in holds] == pytest.approx([0.4, 1.0, 1.0, 1.0, 1.0], abs=0.11)
    assert holds[1].start == pytest.approx(1.0) and holds[1].score == pytest.approx(95)


def test_the_pass_mark_is_that_of_the_pose_that_was_asked_for_at_the_time(results: Path) -> None:
    recording = read_recording(results)
    stricter = replace(recording.targets["=B"], pass_score=90.0)
    marks = report.pass_marks(replace(recording, targets=recording.targets | {"=B": stricter}))
    turns = [one.seconds for before, one in itertools.pairwise(recording.frames) if before.target != one.target]
    assert [mark for _, _, mark in marks] == [80, 90, 80, 90]
    assert [start for start, _, _ in marks] == [0, *turns] and [end for _, end, _ in marks] == [*turns, 11.9]
    assert report.pass_marks(replace(recording, frames=())) == []


def test_completed_holds_are_told_of_how_many_that_were_asked_for(results: Path) -> None:
    recording = read_recording(results)
    holds = report.holds_of(recording)
    assert report.completed(recording.routine, holds) == "4 of 4"
    assert report.completed(recording.routine, holds[:2]) == "1 of 4"
    assert report.completed(replace(recording.routine, repetitions=None), holds) == "4"


class Page(html.parser.HTMLParser):
    """Every tag that is opened and closed, and every attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "th", "td", "tr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("th", "td", "tr"):
            assert self.open.pop() == tag


def test_the_page_is_whole_and_asks_for_nothing_from_outside(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    assert report.main([str(results), "--out", str(out)]) == 0
    content = out.read_text(encoding="utf-8")
    page = Page()
    page.feed(content)
    assert page.open == [] and page.tags.count("svg") == 3 and page.tags.count("section") == 5
    assert not {"script", "link", "img", "iframe", "image", "use"} & set(page.tags)
    assert not {"src", "href", "action", "xlink:href"} & {name for name, _ in page.attributes}
    assert not re.search(r"https?://|url\(|@import", content)
    for said in (
        "&lt;Morning&gt; &amp; co",
        "complete",
        "left early",
        "nobody in view",
        "3 frames dropped",
        "12.4"[:2],
    ):
        assert said in content


@pytest.mark.parametrize(
    ("started", "shown"),
    [
        ("2026-12-05T08:03:07+00:00", "5 December 2026, 08:03:07 UTC"),
        ("2026-12-05T08:03:07Z", "5 December 2026, 08:03:07 UTC"),
        ("2026-01-31T23:59:00+05:30", "31 January 2026, 23:59:00 UTC+05:30"),
        ("2026-01-31T23:59:00", "31 January 2026, 23:59:00"),
        ("<yesterday>", "&lt;yesterday&gt;"),
    ],
)
def test_the_start_is_a_date_that_can_be_read(results: Path, started: str, shown: str) -> None:
    content = report.page(replace(read_recording(results), started=started))
    assert f'<p class="quiet">{shown}, ' in content


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("/home/ann/my clips/warm <up>.mp4",
         '<span title="/home/ann/my clips/warm &lt;up&gt;.mp4">warm &lt;up&gt;.mp4</span>'),
        ("clip.mp4", "clip.mp4"),
        ("camera 0", "camera 0"),
        ("rtsp://host/a/b", "rtsp://host/a/b"),
        ("/", "/"),
    ],
)  # fmt: skip
def test_a_source_that_is_a_file_is_named_without_its_folder(results: Path, source: str, shown: str) -> None:
    assert f", {shown}, encoder " in report.page(replace(read_recording(results), source=source))


def test_a_pattern_of_pictures_is_named_whole(results: Path) -> None:
    recording = replace(read_recording(results), source="trip/*.jpg", stills=True)
    assert ", trip/*.jpg, encoder " in report.page(recording)


def test_the_csv_has_a_line_a_frame_and_no_formula(results: Path, tmp_path: Path) -> None:
    assert report.main([str(results), "--out", str(tmp_path / "report.html")]) == 0
    with (tmp_path / "report.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 120
    assert rows[0]["score"] == "95.0" and rows[0]["left_elbow_degrees"] == "-12.4" and rows[-1]["score"] == ""
    assert {row["target"] for row in rows} == {"A", "'=B"}
    assert {row["phase"] for row in rows} == {"ready", "hold", "rest", "done"}


def test_a_session_without_frames_has_a_page(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(json.dumps(session_row(chain_info(), FakeSource(1), ROUTINE.targets[0], True)) + "\n")
    assert report.main([str(path), "--out", str(tmp_path / "a.html")]) == 0
    content = (tmp_path / "a.html").read_text()
    assert "No pose was held" in content and "cut off" in content


@pytest.mark.parametrize("case", ["missing", "bad", "overwrites", "unwritable", "folder"])
def test_what_cannot_be_done_is_one_sentence_and_2(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    (tmp_path / "bad.jsonl").write_text("{}\n")
    arguments = {
        "missing": (tmp_path / "none.jsonl", tmp_path / "a.html"),
        "bad": (tmp_path / "bad.jsonl", tmp_path / "a.html"),
        "overwrites": (results, results),
        "unwritable": (results, tmp_path / "none" / "a.html"),
        "folder": (results, "."),
    }[case]
    before = results.read_bytes()
    assert report.main([str(arguments[0]), "--out", str(arguments[1])]) == EXIT_BAD_INPUT
    stderr = capsys.readouterr().err
    assert stderr.startswith("error: ") and stderr.count("\n") == 1
    assert results.read_bytes() == before and not (tmp_path / "a.html").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "a.jpg"], "--out a.jpg ends in .jpg; .html, .htm are allowed; give --out a.html"),
        (["--out", "a.csv"], "--out a.csv ends in .csv; .html, .htm are allowed; give --out a.html"),
        (["--out", "a.html", "--csv", "a.jpg"], "--csv a.jpg ends in .jpg; .csv is allowed; give --csv a.csv"),
    ],
)
def test_a_report_replaces_no_file_of_another_kind(
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "a.csv"):
        Path(name).write_bytes(b"mine")
    assert report.main([str(results), *words]) == EXIT_BAD_INPUT
    assert said in capsys.readouterr().err
    assert Path("a.jpg").read_bytes() == Path("a.csv").read_bytes() == b"mine" and not Path("a.html").exists()


@pytest.mark.parametrize("name", ["a.html", "a.csv"])
def test_a_full_disk_leaves_the_old_report(
    monkeypatch: pytest.MonkeyPatch, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    if name == "a.csv":
        monkeypatch.setattr(report, "page", lambda recording: "a page that has room")
    (tmp_path / name).write_text("old")
    with files_of_at_most(1000):
        assert report.main([str(results), "--out", str(tmp_path / "a.html")]) == EXIT_BAD_INPUT
    assert f"{name} could not be written" in capsys.readouterr().err
    assert (tmp_path / name).read_text() == "old"


def long_names(line: str) -> str:
    """A row whose source is a long path, of whose two targets one has a long name."""
    row = json.loads(line)
    if row["type"] == "session":
        row["source"] = "/recordings/" + "a_long_training_session_" * 5
    return json.dumps(row).replace('"A"', '"A' + "_long" * 20 + '"') + "\n"


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 900)])
def test_the_page_does_not_scroll_sideways_and_its_letters_can_be_read(
    results: Path, tmp_path: Path, width: int, height: int
) -> None:
    results.write_text("".join(map(long_names, results.read_text().splitlines())))
    assert report.main([str(results), "--out", str(tmp_path / "a.html")]) == 0

    async def look(browser: str) -> None:
        async with open_tab(browser) as tab:
            await tab.size(width, height, touch=width < height)
            await tab.call("Page.navigate", url=(tmp_path / "a.html").as_uri())
            await tab.until("document.readyState == 'complete' && document.querySelectorAll('svg').length == 3")
            assert await tab.value("document.documentElement.scrollWidth") == width
            scales = await tab.value("[...document.querySelectorAll('svg')].map(one => one.getScreenCTM().a)")
            assert min(scales) * 13 > 11, "px of a letter"
            assert await tab.value(
                "[...document.querySelectorAll('table')].every(one => one.scrollWidth <= one.clientWidth)"
            )
            await tab.call("Emulation.setEmulatedMedia", media="print")
            boxes = "[...document.querySelectorAll('.chart, table')]"
            assert await tab.value(f"{boxes}.every(one => getComputedStyle(one).overflowX == 'visible')"), (
                "paper scrolls"
            )

    with running_browser(tmp_path / "chromium") as browser:
        asyncio.run(asyncio.wait_for(look(browser), DEADLINE_SECONDS))


def test_the_time_axis_of_one_picture_has_numbers_that_can_be_read() -> None:
    plot = line_plot([(0.0, 80.0)], [], [(0.0, 0.0, 80.0)], "time, s", "score")
    assert ">0.5<" in plot and "0.0001" not in plot


@pytest.mark.parametrize(("low", "high", "ticks"), [(0, 10, [0, 2, 4, 6, 8, 10]), (0.3, 0.9, [0.4, 0.6, 0.8])])
def test_ticks_are_round_numbers(low: float, high: float, ticks: list[float]) -> None:
    assert nice_ticks(low, high) == pytest.approx(ticks)
