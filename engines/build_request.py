"""What a build is asked for, and who is told how far it is. Builds nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engines.download import Progress
from engines.geometry import Size
from engines.tensorrt_build import BuildProgress, BuildSettings, ComputeCapability


@dataclass(frozen=True)
class BuildRequest:
    """What to build. Sizes are (height, width) px; names are those of the command line.

    `gpu` and `driver` are of this machine, and empty when `target` is another one's.
    """

    detector: str
    pose: str
    encoders: Sequence[str]
    frame_size: Size
    people: int
    backend: str
    precision: str
    out: Path
    weights_dir: Path | None = None
    trust_weights: bool = False
    target: ComputeCapability | None = None
    gpu: str = ""
    driver: str = ""
    settings: BuildSettings = field(default_factory=BuildSettings)


@dataclass(frozen=True)
class BuildEvents:
    """Who is told of what: the start of each step by name, a download's bytes, how far TensorRT is with an engine, and
    that it was asked to stop.
    """

    on_step: Callable[[str], None] = lambda _: None
    on_download: Progress | None = None
    on_tensorrt: BuildProgress | None = None
    on_stop: Callable[[], None] = lambda: None
