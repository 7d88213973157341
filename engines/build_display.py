"""What the build step shows on a terminal: its progress, the engines it made, the weights it knows. Builds nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from engines.manifest import Manifest
from engines.weights_registry import REGISTRY


def list_weights(console: Console) -> None:
    """Prints the registry."""
    table = Table("name", "file", "licence", "source", title="Known weights")
    for entry in REGISTRY.values():
        table.add_row(entry.name, entry.filename, entry.licence, entry.url)
    console.print(table)


def list_engines(title: str, manifests: Sequence[Manifest], folder: Path, console: Console) -> None:
    """Prints what engines are, and of TensorRT's how they were built."""
    table = Table("engine", "network", "precision", "frame", "size", title=title)
    counted: set[str] = set()
    for manifest in manifests:
        files = [name for name in manifest.files if name not in counted and (folder / name).is_file()]
        counted.update(files)  # both forms of a network share its weights file
        size = sum((folder / name).stat().st_size for name in files)
        frame = "x".join(map(str, manifest.frame_size)) if manifest.frame_size[0] else "-"
        table.add_row(manifest.name, manifest.network, manifest.precision, frame, f"{size / 1e6:.1f} MB")
    console.print(table)
    built = [(manifest, manifest.tensorrt) for manifest in manifests if manifest.tensorrt]
    if not built:
        return
    by, gpu = f"{built[0][0].backend} {built[0][1].version}", built[0][1].gpu or "another machine's GPU"
    table = Table("engine", "built in", "level", "workspace", "timing cache", title=f"Built by {by} for {gpu}")
    for manifest, how in built:
        seconds = "-" if how.build_seconds is None else f"{how.build_seconds:.1f} s"
        level = "-" if how.optimisation_level is None else f"{how.optimisation_level}"
        workspace = "-" if how.workspace_bytes is None else f"{how.workspace_bytes / (1 << 30):g} GiB"
        table.add_row(f"{manifest.name} sm{how.compute_capability.replace('.', '')}", seconds, level, workspace,
                      how.timing_cache or "-")  # fmt: skip
    console.print(table)


class BuildDisplay:
    """What a person sees while engines are built: one line that moves on a terminal, a line a step elsewhere.

    Attributes:
        steps: how many there will be; 0 before that is known.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        width = min(46, console.width - 42)  # the line leaves room for the ^C that a terminal writes behind it
        what = TextColumn("{task.description}", markup=False, table_column=Column(width=max(8, width), no_wrap=True))
        self._progress = Progress(
            SpinnerColumn(), what, BarColumn(20), TextColumn("{task.fields[amount]:>4}"), TimeElapsedColumn(),
            console=console, disable=not console.is_terminal, transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("starting", total=None, amount="")
        self.steps = self._begun = 0
        self._step, self._stopping = "", False

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def step(self, name: str) -> None:
        """A step begins."""
        self._begun += 1
        self._step = f"{self._begun:>2} of {self.steps}  {name}"
        self._progress.update(self._task, description=self._step, completed=0, total=None, amount="")
        if not self._console.is_terminal:
            self._console.print(f"  {name}", soft_wrap=True)

    def download(self, done: int, total: int | None) -> None:
        """So many bytes are there."""
        amount = f"{done / 1e6:.1f} MB" + (f" of {total / 1e6:.1f} MB" if total else "")
        self._progress.update(self._task, completed=done, total=total, amount=amount)

    def tensorrt(self, phase: str, share: float) -> None:
        """TensorRT is so far with an engine."""
        if self._stopping:
            return
        now = f"{self._step.partition(':')[0]}: {phase[:1].lower()}{phase[1:]}"
        self._progress.update(self._task, description=now, completed=share, total=1.0, amount=f"{share:.0%}")

    def stopping(self) -> None:
        """Ctrl-C was pressed while TensorRT works."""
        self._stopping, what = True, "stopping after TensorRT's step"
        self._progress.update(self._task, description=what)
        if not self._console.is_terminal:
            self._console.print(f"  {what}", soft_wrap=True)
