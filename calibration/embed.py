"""Command line that embeds poses in bulk: `python -m calibration.embed in.npz out.npz`. Knows no data set."""

import argparse
import io
import sys
from pathlib import Path

from engines.errors import EXIT_OK, BadInputError
from engines.exits import documented_exits, starting

with starting(__name__):
    import numpy as np
    import torch

    from calibration.datasets.poseset import Integers
    from calibration.methods import ENCODER_HELP, embed
    from calibration.pose_files import read_joints
    from engines.networks.encoders import load_encoder
    from engines.options import OptionParser
    from engines.output_paths import require_ending, require_writable
    from engines.skeleton import VISIBLE_CONFIDENCE
    from engines.whole_files import write_whole


def parser() -> argparse.ArgumentParser:
    """The command line of bulk embedding."""
    line = OptionParser(prog="python -m calibration.embed", description=__doc__)
    line.add_argument("--encoder", default="graded", help=ENCODER_HELP)
    line.add_argument(
        "poses",
        type=Path,
        help=".npz with joints float32 [N, 15, 3]: x px, y px, confidence, in the order of engines.skeleton.JOINTS",
    )
    line.add_argument(
        "embeddings", type=Path, help=".npz to write, with embedding float32 [N, 50]; zeros where no joint is seen"
    )
    return line


def require_seen(unseen: Integers, count: int, path: Path, encoder: str) -> None:
    """Refuses poses with unseen joints for an encoder that needs every joint, as the live loop does.

    Args:
        unseen: `int64 [U]`, which of the poses have any.
        count: of all poses.
        path: their file.
        encoder: its name.

    Raises:
        BadInputError: there are such poses.
    """
    if len(unseen):
        raise BadInputError(
            f"{path.name} has unseen joints in {len(unseen)} of {count} poses, the first in joints[{unseen[0]}]",
            f"the encoder {encoder} needs all 15 joints, with a confidence of at least {VISIBLE_CONFIDENCE:g}",
            "give --encoder graded, which leaves unseen joints out, or a file without those poses",
        )


@documented_exits()
def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    torch.set_num_threads(1)
    require_ending(options.embeddings, "the embeddings file", [".npz"])
    require_writable(options.embeddings, "the embeddings file", apart_from=[options.poses])
    joints = read_joints(options.poses)
    visible = (joints[..., 2] >= VISIBLE_CONFIDENCE).astype(np.float32)
    encoder, unseen = load_encoder(options.encoder), np.flatnonzero((visible == 0).any(1))
    if not encoder.masked:
        require_seen(unseen, len(joints), options.poses, options.encoder)
    embedding = embed(encoder, joints[..., :2], visible)
    archive = io.BytesIO()
    np.savez(archive, embedding=embedding)
    write_whole(options.embeddings, archive.getvalue())
    left_out = f"; unseen joints in {len(unseen)} of them were left out" if len(unseen) else ""
    print(f"{len(embedding)} poses embedded by {options.encoder} into {options.embeddings}{left_out}")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
