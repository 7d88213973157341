"""Curves of training and of scores, as PNG. Knows what to draw, not how it came about."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from calibration.training import History
from engines.whole_files import write_whole
from realtime.scoring import score_from_distance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_ENDINGS = (".png", ".jpg", ".jpeg", ".pdf", ".svg")


def write_figure(figure: "Figure", path: Path) -> None:
    """Writes a figure in the format that its name's ending (one of FIGURE_ENDINGS) says, whole or not at all.

    Raises:
        BadInputError: the file cannot be written.
    """
    drawn = io.BytesIO()
    figure.savefig(drawn, format=path.suffix[1:].lower(), dpi=110)
    write_whole(path, drawn.getvalue())


def draw_training(history: History, title: str, path: Path) -> None:
    """Loss and every validation number over the steps, written to `path`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(history.steps, history.loss, marker="o")
    left.set(xlabel="step", ylabel="mean loss", yscale="log", title=title)
    for name in history.validation[-1] if history.validation else ():
        right.plot(history.steps, [entry[name] for entry in history.validation], marker="o", label=name)
    right.set(xlabel="step", ylabel="held-out actions")
    right.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_figure(figure, path)


def draw_score(
    distance: npt.NDArray[np.float64], good: npt.NDArray[np.bool_], width: float, pass_score: float, path: Path
) -> None:
    """The score over the distance for one width, with recorded good and bad holds on it, written to `path`.

    Raises:
        BadInputError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.subplots()
    reach = max(float(distance.max()) if len(distance) else 0, 3 * width)
    line = np.linspace(0, reach, 200)
    axes.plot(line, score_from_distance(line, width), color="black")
    for chosen, name, colour in ((good, "good", "tab:green"), (~good, "bad", "tab:red")):
        if not chosen.any():
            continue
        axes.scatter(
            distance[chosen], score_from_distance(distance[chosen], width), s=14, label=name, color=colour, alpha=0.6
        )
    axes.axhline(pass_score, linestyle=":", color="grey")
    axes.set(xlabel="cosine distance", ylabel="score", title=f"score width {width:.3f}")
    axes.legend()
    write_figure(figure, path)
