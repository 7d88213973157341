"""How far a TensorRT build has come. Its phases lie within each other, each with its own steps. Knows no TensorRT."""

import threading
from dataclasses import dataclass


@dataclass
class Phase:
    """One that has begun: within which other, of how many steps, and how many are done."""

    parent: str | None
    steps: int
    done: int = 0


class BuildPhases:
    """Makes one number of nested phases, which never falls. May be told from several threads, as TensorRT does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._phases: dict[str, Phase] = {}
        self._share = 0.0

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase begins."""
        with self._lock:
            self._phases[name] = Phase(parent, max(1, steps))

    def step(self, name: str, done: int) -> float:
        """So many of a phase's steps are done; gives the share of the whole build, 0..1."""
        with self._lock:
            if phase := self._phases.get(name):
                phase.done = done
            outermost = [one for one, phase in self._phases.items() if phase.parent not in self._phases]
            self._share = max([self._share, *map(self._share_of, outermost)])
            return self._share

    def finish(self, name: str) -> None:
        """A phase has ended; what lies around it says so with its own next step."""
        with self._lock:
            self._phases.pop(name, None)

    def _share_of(self, name: str) -> float:
        phase = self._phases[name]
        within = [self._share_of(one) for one, other in self._phases.items() if other.parent == name]
        return min(1.0, (phase.done + max(within, default=0.0)) / phase.steps)
