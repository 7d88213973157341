"""Command line that embeds poses in bulk: `python -m calibration.embed in.npz out.npz`. Knows no data set."""

import argparse
import io
import sys
from pathlib import Path

from engines.errors import EXIT_OK
from engines.exits import documented_exits, starting

with starting(__name__):
    import numpy as np
    import torch

    from calibration.datasets.poseset import Floats, load_arrays, malformed
    from calibration.methods import embed
    from engines.networks.encoders import load_encoder
    from engines.output_paths import require_ending, require_writable
    from engines.skeleton import VISIBLE_CONFIDENCE
    from engines.whole_files import write_whole


def parser() -> argparse.ArgumentParser:
    """The command line of bulk embedding."""
    line = argparse.ArgumentParser(prog="python -m calibration.embed", description=__doc__)
    line.add_argument("--encoder", default="graded", help="graded, paper, mlp, bones or a .safetensors file")
    line.add_argument("poses", type=Path, help=".npz with joints float32 [N, 15, 3]: x px, y px, confidence")
    line.add_argument("embeddings", type=Path, help=".npz to write, with embedding float32 [N, 50]")
    return line


def read_joints(path: Path) -> Floats:
    """The array `joints` of a `.npz`: `float32 [N, 15, 3]`, x px, y px, confidence.

    Raises:
        BadInputError: the file is missing, or the array is missing, of another shape or not finite.
    """
    joints = load_arrays(path, ("joints",), "poses")["joints"]
    if joints.ndim != 3 or joints.shape[1:] != (15, 3) or not np.issubdtype(joints.dtype, np.number):
        raise malformed(path, f"joints of shape {joints.shape} and type {joints.dtype}", "float32 [N, 15, 3]")
    if not np.isfinite(joints).all():
        raise malformed(path, "a joint that is not finite", "finite px and confidences")
    return joints.astype(np.float32)


@documented_exits()
def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    torch.set_num_threads(1)
    require_ending(options.embeddings, "the embeddings file", [".npz"])
    require_writable(options.embeddings, "the embeddings file", apart_from=[options.poses])
    joints = read_joints(options.poses)
    visible = (joints[..., 2] >= VISIBLE_CONFIDENCE).astype(np.float32)
    embedding = embed(load_encoder(options.encoder), joints[..., :2], visible)
    archive = io.BytesIO()
    np.savez(archive, embedding=embedding)
    write_whole(options.embeddings, archive.getvalue())
    print(f"{len(embedding)} poses embedded by {options.encoder} into {options.embeddings}")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
