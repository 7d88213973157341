"""Draws how a training went. Knows rows of numbers."""

from collections.abc import Sequence
from pathlib import Path

COLOURS = 10
"""Different ones there are; with more curves the line's style changes too."""
STYLES = ("-", "--", ":")


def write_curves(history: Sequence[dict[str, float]], path: Path, title: str) -> None:
    """A PNG with the losses on the left and the metrics on the right, over the samples seen.

    Args:
        history: one row an epoch: `samples`, losses (names ending in `_loss`), metrics (all other names).
        path: of the PNG.
        title: of the figure.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(name for row in history for name in row))
    losses = [name for name in names if name.endswith("_loss")]
    metrics = [name for name in names if name not in losses and name not in ("epoch", "samples", "seconds")]
    figure, axes = pyplot.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    for axis, group in zip(axes, (losses, metrics), strict=True):
        for number, name in enumerate(group):
            rows = [row for row in history if name in row]
            samples, values = [row["samples"] / 1000 for row in rows], [row[name] for row in rows]
            colour, style = f"C{number % COLOURS}", STYLES[number // COLOURS % len(STYLES)]
            axis.plot(samples, values, marker=".", color=colour, linestyle=style, label=name)
        axis.set_xlabel("samples seen, thousands")
        axis.grid(alpha=0.3)
        if group:
            axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    axes[0].set_title(f"{title}: losses")
    axes[1].set_title(f"{title}: metrics on data not trained on")
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
