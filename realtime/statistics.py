"""What a run amounts to, in bounded memory: percentiles of times, how many frames were scored. Knows no clock."""

import math
from collections import Counter
from collections.abc import Iterator

from realtime.mailbox import Ledger
from realtime.results import SCORED, FrameResult

ALWAYS_SUMMARISED = ("wait", "detect", "pose", "encode")
"""Stages that every summary has, be it with zeros; the others as frames bring them."""
RELATIVE_ERROR = 0.01
LEAST_MS, MOST_MS = 1e-3, 1e8
MOST_BUCKETS = round(math.log(MOST_MS / LEAST_MS) / math.log1p(RELATIVE_ERROR)) + 1
"""About 2,500: all the memory that a distribution can come to take."""


class Distribution:
    """Times in ms, kept as counts in buckets 1 % wide, so that an hour takes no more memory than a minute."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0
        self.max = 0.0

    def add(self, milliseconds: float) -> None:
        """Adds one time. In percentiles one below a microsecond counts as that, one above 28 hours as that."""
        value = min(max(milliseconds, LEAST_MS), MOST_MS)
        self._buckets[round(math.log(value / LEAST_MS) / math.log1p(RELATIVE_ERROR))] += 1
        self.count += 1
        self.max = max(self.max, milliseconds)

    def percentile(self, share: float) -> float:
        """The time that `share` (0..1) of all are not above, within 0.5 %; 0 when empty."""
        left = math.ceil(share * self.count)
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                return min(LEAST_MS * (1 + RELATIVE_ERROR) ** bucket, self.max)
        return 0.0

    def counts(self) -> Iterator[tuple[float, int]]:
        """Times in ms, each within 0.5 %, and how often each came."""
        for bucket, count in self._buckets.items():
            yield min(LEAST_MS * (1 + RELATIVE_ERROR) ** bucket, self.max), count

    def summary(self) -> dict[str, float]:
        """p50, p90, p95, p99 and max, ms."""
        shares = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
        return {name: round(self.percentile(share), 3) for name, share in shares.items()} | {"max": round(self.max, 3)}


class Statistics:
    """What the summary is made of, in bounded memory."""

    def __init__(self) -> None:
        self.scored = 0
        self.duplicates = 0
        self.best: FrameResult | None = None
        self.age = Distribution()
        self.stages = {name: Distribution() for name in ALWAYS_SUMMARISED}

    def add(self, result: FrameResult) -> None:
        """Counts one result."""
        self.age.add(result.age_ms)
        self.duplicates += result.duplicate
        for name in {**self.stages, **result.stages_ms}:
            self.stages.setdefault(name, Distribution()).add(result.stages_ms.get(name, 0.0))
        if result.status == SCORED:
            self.scored += 1
            if self.best is None or (result.score or 0) > (self.best.score or 0):
                self.best = result


def latency_line(statistics: Statistics, ledger: Ledger) -> str:
    """Frame age and drops in one line."""
    age = statistics.age
    return f"age p50 {age.percentile(0.5):.0f} ms  p95 {age.percentile(0.95):.0f} ms  dropped {ledger.dropped}"
