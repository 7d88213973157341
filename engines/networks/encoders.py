"""Pose encoders: 15 joints and a mask in, a 50-dimensional embedding out. Knows nothing of pictures or scores.

Every encoder is a module called as `encoder(xy, mask)`, with `xy` float32 [N, 15, 2] in px (any scale) and `mask`
float32 [N, 15], 1 where the joint may be used and 0 where it must have no influence. It returns `float32 [N, 50]`:
unit vectors, or zeros where nothing can be said (no usable joint, degenerate pose). It never returns NaN.
`encoder.masked` is False where the method knows no mask (`paper`, `mlp`): the mask is then ignored.
"""

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from engines.errors import EngineError
from engines.networks.blended import BlendedEncoder
from engines.networks.graded import GradedEncoder
from engines.networks.normalise import EMBEDDING_SIZE, EPSILON, adjacency, min_max, unit
from engines.skeleton import BONES

__all__ = [
    "EMBEDDING_SIZE",
    "ENCODER_NAMES",
    "EPSILON",
    "BlendedEncoder",
    "BonesEncoder",
    "GradedEncoder",
    "MlpEncoder",
    "PaperEncoder",
    "load_encoder",
    "min_max",
    "paper_adjacency",
    "save_encoder",
    "unit",
]

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
ENCODER_NAMES = ("graded", "paper", "mlp", "bones")


def paper_adjacency() -> Tensor:
    """The fixed matrix of equation 3, `[15, 15]`: D^-1/2 (C + I) D^-1/2, where C already holds the diagonal."""
    return adjacency(self_loops=2)


def _paper_head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(30, 40), nn.ReLU(), nn.Linear(40, 50), nn.ReLU(), nn.Linear(50, EMBEDDING_SIZE))


class PaperEncoder(nn.Module):
    """GCN-PSN exactly as published: min-max, two 2-channel graph convolutions without bias, MLP 30-40-50-50.

    Activations the paper leaves open: ReLU between the linear maps, none after the last (PAPER.md, "Gaps").
    """

    masked = False
    adjacency: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("adjacency", paper_adjacency(), persistent=False)
        self.convolution1 = nn.Linear(2, 2, bias=False)
        self.convolution2 = nn.Linear(2, 2, bias=False)
        self.mlp = _paper_head()

    def forward(self, xy: Tensor, mask: Tensor) -> Tensor:
        """Embeds `xy` [N, 15, 2]; `mask` is ignored, the method knows none. Returns unit vectors [N, 50]."""
        hidden = self.graph_features(xy)
        return unit(self.mlp(hidden.flatten(1)))

    def graph_features(self, xy: Tensor) -> Tensor:
        """H2 of equation 3, `[N, 15, 2]`, as handed to the MLP; zeros for every pose mean a dead network."""
        hidden = torch.relu(self.adjacency @ self.convolution1(min_max(xy)))
        return torch.relu(self.adjacency @ self.convolution2(hidden))


class MlpEncoder(nn.Module):
    """The paper's baseline, its Table I "MLP (no GCN)": min-max, then the same MLP 30-40-50-50."""

    masked = False

    def __init__(self) -> None:
        super().__init__()
        self.mlp = _paper_head()

    def forward(self, xy: Tensor, mask: Tensor) -> Tensor:
        """Embeds `xy` [N, 15, 2]; `mask` is ignored, the method knows none. Returns unit vectors [N, 50]."""
        return unit(self.mlp(min_max(xy).flatten(1)))


class BonesEncoder(nn.Module):
    """Classical bone directions, no weights: 14 unit vectors side by side, those with an unusable end left out.

    The cosine of two embeddings under one mask is then the mean cosine of the angles between their bones.
    """

    masked = True
    first: Tensor
    second: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("first", torch.tensor([bone[0] for bone in BONES]), persistent=False)
        self.register_buffer("second", torch.tensor([bone[1] for bone in BONES]), persistent=False)

    def forward(self, xy: Tensor, mask: Tensor) -> Tensor:
        """Embeds `xy` [N, 15, 2] under `mask` [N, 15]. Returns unit vectors [N, 50], the last 22 entries zero."""
        bones = torch.index_select(xy, 1, self.second) - torch.index_select(xy, 1, self.first)
        usable = torch.index_select(mask, 1, self.second) * torch.index_select(mask, 1, self.first)
        directions = (unit(bones) * usable[..., None]).flatten(1)  # [N, 28]
        return unit(nn.functional.pad(directions, (0, EMBEDDING_SIZE - 2 * len(BONES))))


ARCHITECTURES: dict[str, type[nn.Module]] = {
    "graded": GradedEncoder,
    "blended": BlendedEncoder,
    "paper": PaperEncoder,
    "mlp": MlpEncoder,
    "bones": BonesEncoder,
}


def build_encoder(architecture: str, settings: dict[str, object]) -> nn.Module:
    """A new encoder with random weights; `settings` are its arguments (`graded` and `blended` have some).

    Raises:
        KeyError: there is no such architecture.
        TypeError: the architecture has no such setting.
    """
    encoder: nn.Module = ARCHITECTURES[architecture](**settings)
    return encoder


def save_encoder(encoder: nn.Module, path: Path, metadata: dict[str, str]) -> None:
    """Writes the weights as safetensors, with the architecture's name and settings beside `metadata` in the header."""
    from safetensors.torch import save_file

    architecture = next(name for name, kind in ARCHITECTURES.items() if type(encoder) is kind)
    settings = json.dumps(getattr(encoder, "settings", {}), sort_keys=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.contiguous() for name, tensor in encoder.state_dict().items()}
    save_file(weights, path, {**metadata, "architecture": architecture, "settings": settings})


def load_encoder(name_or_path: str | Path) -> nn.Module:
    """A ready encoder in evaluation mode: `graded`, `paper`, `mlp` or `bones` as shipped, or a `.safetensors` file.

    Its attribute `weights_path` is the file that was read; `bones` has no weights and no such attribute.

    Raises:
        EngineError: no such name or file, or the file cannot be read or is not the weights of a known encoder.
    """
    if name_or_path == "bones":
        return BonesEncoder().eval()
    named = str(name_or_path) in ENCODER_NAMES
    path = WEIGHTS / f"{name_or_path}.safetensors" if named else Path(name_or_path)
    allowed = f"an encoder is one of {', '.join(ENCODER_NAMES)} or a .safetensors file of calibration.train"
    if not path.is_file():
        raise EngineError(f"no encoder weights at {path}", allowed, "check the name, or train one")
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dictionary
        encoder = build_encoder(metadata["architecture"], json.loads(metadata["settings"]))
        encoder.load_state_dict(weights)
    except OSError as error:  # safetensors says that there is no such file, whatever the system said
        raise EngineError(f"the encoder weights {path} cannot be read", allowed, "check the file's rights") from error
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        seen = f"{path.name} is not the weights of an encoder ({type(error).__name__}: {error})"
        raise EngineError(seen, allowed, "train it again with python -m calibration.train") from error
    encoder.weights_path = path  # type: ignore[assignment]
    return encoder.eval()
