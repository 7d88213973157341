"""Where somebody walks, sideways: a Kalman filter of place and speed. Knows no boxes, clothes or other people.

People keep their speed more or less; how much they change it is `RESTLESSNESS`. What the detector says of their place
is off for a while at a time (an arm stretched out, a half that is covered), so that many boxes of the same half second
are little more evidence than one: errors are given by the second, not by the box. Lengths are in heights of the body.
"""

from copy import copy
from dataclasses import dataclass

RESTLESSNESS = 0.05
"""Variance by which a speed changes, (heights / s)^2 a second."""
UNSURE_CLEAR, UNSURE_COVERED = 0.001, 0.05
"""Variance of a second's boxes, heights^2 s: of somebody alone, of somebody before or behind another."""
LONGEST_STEP = 0.2
FIRST_PLACE, FIRST_SPEED = 0.1, 1.0
"""Standard deviations at first sight."""
KNOWN_SPEED = 0.35
"""Standard deviation up to which a speed counts as known."""


@dataclass
class Motion:
    """Place px and speed px a second at `seconds`, `seen` last; their covariance in heights and heights a second."""

    place: float
    seconds: float
    speed: float = 0.0
    place_variance: float = FIRST_PLACE**2
    covariance: float = 0.0
    speed_variance: float = FIRST_SPEED**2
    seen: float | None = None

    def expected(self, seconds: float) -> float:
        """The place at a later time."""
        return self.place + self.speed * max(0.0, seconds - self.seconds)

    @property
    def known(self) -> bool:
        """Whether the speed is known well enough to go by."""
        return self.speed_variance <= KNOWN_SPEED**2

    def variance(self, seconds: float) -> float:
        """Of the place expected at a later time, heights^2."""
        later = copy(self)
        later.advance(seconds)
        return later.place_variance

    def advance(self, seconds: float) -> None:
        """Time passes unseen."""
        step = max(0.0, seconds - self.seconds)
        self.place, self.seconds = self.expected(seconds), max(seconds, self.seconds)
        self.place_variance += 2 * step * self.covariance + step**2 * self.speed_variance + RESTLESSNESS * step**3 / 3
        self.covariance += step * self.speed_variance + RESTLESSNESS * step**2 / 2
        self.speed_variance += RESTLESSNESS * step

    def see(self, seconds: float, place: float, height: float, covered: float = 0.0) -> float:
        """They are found at `place` px, `height` px tall, in a box others share in part; gives how unlikely that was.

        Unlikely is the square of how many standard deviations off it was.
        """
        step = LONGEST_STEP if self.seen is None else min(max(seconds - self.seen, 1e-3), LONGEST_STEP)
        self.seen = seconds
        self.advance(seconds)
        variance = (UNSURE_CLEAR + covered * UNSURE_COVERED) / step
        gain = 1 / (self.place_variance + variance)
        away = (place - self.place) * gain
        unlikely = (place - self.place) * away / height**2
        self.place += away * self.place_variance
        self.speed += away * self.covariance
        self.speed_variance -= gain * self.covariance**2
        self.covariance *= 1 - gain * self.place_variance
        self.place_variance *= 1 - gain * self.place_variance
        return unlikely
