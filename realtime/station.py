"""What a person at the station sees, hears and steers: routine, coach, moves, keys. Knows no network and no window."""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from realtime.advice import Move, SteadyMoves, moves
from realtime.capture import Capture, free_name
from realtime.coach import DARK_LEVEL, Coach, brightness, hint_for
from realtime.frames import Picture
from realtime.gauges import TREND_SECONDS, HoldView
from realtime.ghost import Proportions, fit_ghost
from realtime.keys import WINDOW_KEYS
from realtime.overlay import View
from realtime.pose import Target
from realtime.raised_hand import Bid, Look, RaisedHands
from realtime.recording import recorded_progress
from realtime.results import SCORED, STALE, FrameResult
from realtime.routine import DONE, HOLD, REST, Routine, RoutineState
from realtime.scoring import only_counted, target_as_matched
from realtime.sound import Cues, Silence

Floats = npt.NDArray[np.float32]

STEADY_SCORE_SECONDS = 0.3
DONE_SECONDS = 5.0
WORDS_RIGHT_BELOW, WORDS_LEFT_BEYOND = 0.38, 0.46
"""Parts of the width at which the column of words changes its side."""


class Station:
    """One person's session.

    Args:
        routine: what to hold; None when a target is only captured.
        frame_size: width and height px of the fitted frame.
        visible_confidence: the least confidence of a visible joint.
        aim: tells the executor what to score against from now on.
        mirror: show the picture as a mirror does.
        cues: tones and speech.
        capture: a target to be captured at once.
        ignore: joints that do not count in a captured target.
        folder: where the key `c` writes targets.
        choose: locks a person by id, or the next in view when told None.
        replayed: results bring their place in the routine with them.
        stills: every picture stands for itself, so nothing of one is shown with the next.
    """

    def __init__(
        self,
        routine: Routine | None,
        frame_size: tuple[int, int],
        visible_confidence: float,
        *,
        aim: Callable[[Target], None] = lambda target: None,
        mirror: bool = False,
        cues: Cues | None = None,
        capture: Capture | None = None,
        ignore: Sequence[str] = (),
        folder: Path = Path(),
        choose: Callable[[int | None], None] = lambda person: None,
        replayed: bool = False,
        stills: bool = False,
    ) -> None:
        self._state = RoutineState(routine) if routine else None
        self._frame_size, self._visible, self._aim = frame_size, visible_confidence, aim
        self._mirror, self._ignore, self._folder = mirror, ignore, folder
        self._cues: Cues = cues or Silence()
        self._replayed, self._stills = replayed, stills
        self._choose, self._hands = choose, RaisedHands(visible_confidence)
        self._bids: tuple[Bid, ...] = ()
        self._person: int | None = None
        self._capture, self._captures_only = capture, capture is not None
        self._coach, self._proportions, self._steady = Coach(at_once=stills), Proportions(), SteadyMoves()
        self._trend: deque[tuple[float, float]] = deque()
        self._phase_seen, self._phase_since = "", 0.0
        self._done_at: float | None = None
        self._latency = self._help = False
        self._notice = ""
        self._words_right = False
        self.captured: list[Path] = []
        self.finished = False
        self.keys = WINDOW_KEYS
        """What the help shows."""

    @property
    def mirror(self) -> bool:
        """Whether the picture is shown as a mirror does."""
        return self._mirror

    def take(self, result: FrameResult, image: Picture) -> FrameResult:
        """Takes one result; gives it with its place in the routine."""
        self._follow_people(result)
        if self._capture is not None:
            self._follow_capture(self._capture, result)
        if self._state is None or self._captures_only:
            return result
        if self._replayed:
            self._state.progress = recorded_progress(result, self._state.routine)
            self._keep_trend(result, result.status == SCORED)
            return result
        return self._placed(result, self._state, image)

    def _follow_people(self, result: FrameResult) -> None:
        """Whoever raises a hand for two seconds is scored from then on; another person starts with nothing learnt."""
        another = result.person not in (None, self._person)
        if self._stills or another:
            self._proportions, self._steady = Proportions(), SteadyMoves()
        if another:
            self._person = result.person
            self._trend.clear()
        if self._replayed or result.status == STALE:
            self._bids = ()
            return
        looks = [Look(one.id, one.joints, result.seconds) for one in result.people]
        looks += [Look(one.id, one.joints, one.looked_at) for one in result.others if one.joints is not None]
        others = [look for look in looks if look.person != result.person]
        target = target_as_matched(self._state.step.target, result.mirrored) if self._state else None
        self._bids, chosen = self._hands.update(result.seconds, others, target)
        if chosen is not None:
            self._choose(chosen)
            self._cues.play("enter")

    def _placed(self, result: FrameResult, state: RoutineState, image: Picture) -> FrameResult:
        seconds, before = result.seconds, state.step.target.name
        current = result.status == SCORED and result.target == before  # a frame in flight may be of the last target
        progress = state.update(seconds, result.score if current else None)
        self._cues.play(progress.event)
        if state.step.target.name != before:
            self._aim(state.step.target)
            self._trend.clear()
        if progress.phase == DONE:
            self._done_at = seconds if self._done_at is None else self._done_at
            self.finished = seconds - self._done_at >= DONE_SECONDS
        self._keep_trend(result, current and state.step.target.name == before)
        light = DARK_LEVEL if result.status == SCORED else brightness(image)
        self._coach.update(seconds, hint_for(result, self._frame_size, light))
        if progress.phase != DONE:
            self._cues.say(self._coach.to_say(seconds))
        place = state.place(result.target)
        return replace(
            result,
            phase=place.phase,
            step=place.step,
            repetition=place.repetition,
            hold_seconds=round(place.hold_seconds, 3),
        )

    def _keep_trend(self, result: FrameResult, current: bool) -> None:
        """The scores of the last seconds, and since when the phase is what it is."""
        if self._state is not None and self._state.progress.phase != self._phase_seen:
            self._phase_seen, self._phase_since = self._state.progress.phase, result.seconds
        if current and result.score is not None:
            self._trend.append((result.seconds, result.score))
        while self._trend and result.seconds - self._trend[0][0] > TREND_SECONDS:
            self._trend.popleft()

    def _follow_capture(self, capture: Capture, result: FrameResult) -> None:
        self._notice = capture.update(result)
        if capture.written and capture.ended_at == result.seconds:
            self.captured.append(capture.path)
            self._cues.play("held")
        if capture.over(result.seconds):
            self._capture, self._notice = None, ""
            self.finished = self.finished or self._captures_only

    def view(self, result: FrameResult, latency: str) -> tuple[Floats | None, View]:
        """The target's joints float32 [15, 3] for the ring, and all else that is drawn over the frame."""
        joints = ghost = None
        title, pass_score = "New target", Target.pass_score
        state, paused = self._shown_state, False
        if state is not None:
            state, paused = state.at(state.place(result.target)), state.progress.paused
            target = state.step.target
            title, pass_score = target.name, target.pass_score
            joints = only_counted(target_as_matched(target, result.mirrored), target, result.mirrored)
            ghost = self._ghost(result, target)
        shown = self._shown_moves(result, ghost)
        hint, countdown = self._words()
        self._words_right = self._column_right(result)
        return joints, View(
            title=title,
            latency=latency if self._latency else "",
            score=self._shown_score(result) if state else None,
            trend=tuple(self._trend) if state else (),
            pass_score=pass_score,
            ghost=ghost if not self._phase(DONE) else None,
            moves=() if hint else shown,
            hint=hint,
            praise=self._phase(REST, DONE) and not paused,
            cue="Hold still" if self._phase(HOLD) and not hint else "",
            words_right=self._words_right,
            hold=hold_view(state) if state else None,
            mirror=self._mirror,
            countdown=countdown,
            help=self.keys if self._help else (),
            bids=self._bids,
        )

    @property
    def _shown_state(self) -> RoutineState | None:
        """The routine, but none during a capture: whoever takes a new pose must not be told to leave it."""
        return self._state if self._capture is None else None

    def _ghost(self, result: FrameResult, target: Target) -> Floats | None:
        """The target's joints float32 [15, 3] in the user's size and place; what it ignores helps to fit it, unseen."""
        if result.joints is None:
            return None
        lengths = self._proportions.update(result.joints, result.seconds, self._visible)
        ghost = fit_ghost(target_as_matched(target, result.mirrored), result.joints, lengths, self._visible)
        return None if ghost is None else only_counted(ghost, target, result.mirrored)

    def _column_right(self, result: FrameResult) -> bool:
        """Whether the words stand at the right: while the person stands at the left, and a little longer."""
        if result.box is None:
            return self._words_right
        width = self._frame_size[0]
        middle = float(result.box[0] + result.box[2]) / 2 / width
        middle = 1 - middle if self._mirror else middle
        return middle < (WORDS_LEFT_BEYOND if self._words_right else WORDS_RIGHT_BELOW)

    def _shown_moves(self, result: FrameResult, ghost: Floats | None) -> tuple[Move, ...]:
        if ghost is None or result.joints is None or result.status != SCORED or self._phase(HOLD, REST, DONE):
            return ()
        if self._state is not None and self._state.place(result.target) is not self._state.progress:
            return ()
        return tuple(self._steady.update(result.seconds, moves(result.joints, ghost, result.deviation_degrees)))

    def _phase(self, *phases: str) -> bool:
        return self._shown_state is not None and self._shown_state.progress.phase in phases

    def _shown_score(self, result: FrameResult) -> float | None:
        """The mean of the last moment: a number that changes thirty times a second cannot be read.

        It begins anew with each phase, which follows every score: so a hold never shows the scores from before it.
        """
        since = max(self._phase_since, result.seconds - STEADY_SCORE_SECONDS)
        recent = [score for seconds, score in self._trend if seconds >= since]
        return sum(recent) / len(recent) if recent and result.status == SCORED else None

    def _words(self) -> tuple[str, str]:
        """The hint and the countdown to show."""
        if self._capture is not None:
            return ("", self._notice) if self._notice.isdecimal() else (self._notice, "")
        if self._state is None:
            return "", ""
        progress = self._state.progress
        if progress.paused:
            return "Paused: press space to go on", ""
        if progress.phase == DONE:
            return "Well done!", ""
        if progress.phase == REST:
            rest = f"Rest {math.ceil(progress.rest_left)} s" if progress.rest_left > 0 else "Rest"
            return f"Well held. {rest}, then {self._state.step.target.name}", ""
        return self._coach.shown, ""

    def press(self, key: int) -> None:
        """Acts on a key of the window."""
        letter = chr(key).lower() if 0 <= key < 128 else ""
        if letter == "h":
            self._help = not self._help
        elif letter == "l":
            self._latency = not self._latency
        elif letter == "m":
            self._mirror = not self._mirror
        elif letter in ("o", "\t"):
            self._choose(None)
        elif letter == "c" and self._capture is None:
            self._help = False  # it would stand where the countdown does
            self._capture = Capture(
                free_name(self._folder), self._frame_size, self._visible, self._ignore, required=False
            )
        elif self._state is not None and letter in (" ", "p", "n", "r"):
            self._steer(self._state, letter)

    def _steer(self, state: RoutineState, letter: str) -> None:
        """Pause, next pose, from the beginning."""
        before = state.step.target.name
        {" ": state.pause, "p": state.pause, "n": state.skip, "r": state.restart}[letter]()
        self._done_at = None
        if state.step.target.name != before:
            self._aim(state.step.target)
            self._trend.clear()


def held_words(times: int) -> str:
    """How often a pose was held."""
    return f"Held {times} times" if times > 1 else ("Not held yet", "Held once")[times]


def hold_view(state: RoutineState) -> HoldView:
    """The ring, its number and the lines below it, from the progress of a routine."""
    progress, step = state.progress, state.step
    lines = []
    if len(state.routine.steps) > 1:
        lines.append(f"Pose {progress.step + 1} of {len(state.routine.steps)}")
    if state.routine.repetitions is None:
        lines.append(held_words(progress.repetition - 1))
    elif state.routine.repetitions > 1:
        lines.append(f"Round {progress.repetition} of {state.routine.repetitions}")
    share, inside = 0.0, ""
    if progress.phase == HOLD:
        share = progress.hold_seconds / max(step.hold_seconds, 1e-6)
        inside = str(max(1, math.ceil(step.hold_seconds - progress.hold_seconds)))
    elif progress.phase == DONE:
        share, inside = 1.0, "Done"
    return HoldView(share, inside, tuple(lines))
