"""The paper's Tables I and II from whoever's videos, beside the figures it quotes. Knows no command line.

The folder holds `finediving/` and `aqa7/`, each with the official annotation files and with `poses/VIDEO/NUMBER.npz` as
calibration.extract writes them. What is not there is left out of the table, and said so.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.table import Table

from calibration.datasets.action_quality import ClipSet, read_aqa7, read_finediving
from calibration.datasets.clip_poses import join_clips
from calibration.measures import spearman
from calibration.methods import Method, encoder_method
from calibration.outcome_scores import sequence_distances
from calibration.paper_rule import trained_by_rule
from engines.errors import BadInputError
from engines.networks.encoders import load_encoder

QUOTED = {"CoRe (I3D)": (0.840, 0.903), "TPT": (0.887, 0.931)}
PRINTED = {"MLP baseline (no GCN)": (0.765, 0.812), "GCN-PSN": (0.851, 0.915)}
READERS: tuple[tuple[str, Callable[[Path], ClipSet]], ...] = (("aqa7", read_aqa7), ("finediving", read_finediving))
STEPS = 50 * 100
SEEDS = 5


def paper_tables(folder: Path, seeds: int, steps: int) -> Table:
    """Tables I (all methods) and II (with and without the GCN) in one, ours measured, the others marked.

    Raises:
        BadInputError: neither data set is there, or its files are malformed.
    """
    columns = [_measured(folder / name, reader, seeds, steps) for name, reader in READERS if (folder / name).is_dir()]
    if not columns:
        raise BadInputError(
            f"neither aqa7 nor finediving in {folder}",
            "a folder with the official annotations and poses/ of at least one",
            "make the poses with python -m calibration.extract",
        )
    present = [name for name, _ in READERS if (folder / name).is_dir()]
    table = Table(title="Spearman's rho (Tables I and II)")
    for column in ("method", *present, "source"):
        table.add_column(column)
    for name, figures in {**QUOTED, **PRINTED}.items():
        source = "quoted by the paper" if name in QUOTED else "as printed in the paper"
        table.add_row(name, *(f"{figures[0 if data == 'aqa7' else 1]:.3f}" for data in present), source)
    for method in columns[0]:
        table.add_row(method, *(column[method] for column in columns), "measured here")
    return table


def _measured(folder: Path, reader: Callable[[Path], ClipSet], seeds: int, steps: int) -> dict[str, str]:
    data, clips = join_clips(reader(folder), folder / "poses")
    test = np.array([clip.test for clip in clips])
    judged, known = np.flatnonzero(test), np.flatnonzero(~test)

    def rho(method: Method) -> float:
        between = sequence_distances(method, data)
        good = np.zeros(len(test), bool)
        for action in np.unique(data.action):
            members = known[data.action[known] == action]
            good[members] = data.outcome[members] > np.median(data.outcome[members])
        comparable = (data.action[judged][:, None] == data.action[None]) & good[None]
        usable = comparable.any(1)
        distance = (between[judged] * comparable).sum(1)[usable] / comparable.sum(1)[usable]
        return spearman(-distance, data.outcome[judged][usable])

    def over_seeds(encoder: str) -> str:
        values = [rho(trained_by_rule(encoder, data, known, seed, steps)) for seed in range(seeds)]
        return f"{np.mean(values):.3f} ± {np.std(values):.3f}"

    return {
        "mlp (no GCN), paper's rule": over_seeds("mlp"),
        "paper (GCN-PSN), paper's rule": over_seeds("paper"),
        "graded, as shipped": f"{rho(encoder_method('graded', load_encoder('graded'))):.3f}",
    }
