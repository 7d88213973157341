"""The three graphs of the chain as torch modules on a GPU: engines for where no TensorRT runs. Needs torch with CUDA.

They compute what the graphs of `engines/graphs` compute, from the same modules, with cuDNN's kernels one by one where
TensorRT fuses them. So their own times say nothing of TensorRT's; what the chain adds to its engines is the same.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.host_chain import NETWORK_INPUT, OUTPUTS
from engines import device as protocol
from engines.contract import contract
from engines.cuda_device import CudaDevice, CudaStream
from engines.device_chain import DeviceChain
from engines.errors import EngineError
from engines.execution import ChainInfo
from engines.geometry import Size
from engines.graphs.detect import DetectPost
from engines.graphs.encode import Encode
from engines.graphs.pose import PosePost
from engines.graphs.sampling import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    CropSampling,
    LetterboxSampling,
    Normalise,
)
from engines.networks.encoders import load_encoder
from engines.networks.loading import load_detector, load_pose_network
from engines.options import MOST_PEOPLE
from engines.weights_registry import OWN_WEIGHTS


class Detect(nn.Module):
    """`frame`, `anchor` -> `boxes`; with `half` the network is at float16.

    Args:
        network: as `networks.yolov5.PersonYolo`, at float32.
        frame_size: height and width, px.
        image_size: of the network's picture.
        people: boxes to give.
        half: bring the network to float16.
    """

    def __init__(self, network: nn.Module, frame_size: Size, image_size: Size, people: int, *, half: bool) -> None:
        super().__init__()
        self.dtype = torch.float16 if half else torch.float32
        bins, strides = int(network.bins), tuple(network.strides)  # type: ignore[arg-type]
        self.before = nn.Sequential(LetterboxSampling(frame_size, image_size), Normalise())
        self.network = network.to(dtype=self.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.post = DetectPost(frame_size, image_size, people, bins=bins, strides=strides)

    def forward(self, frame: Tensor, anchor: Tensor) -> tuple[Tensor]:
        """See the class."""
        boxes, classes = self.network(self.before(frame).to(self.dtype))
        return (self.post(boxes.float(), classes.float(), anchor),)


class PickingPost(PosePost):
    """As its parent, without lists of indices that go up from the host in each run: no graph captures that."""

    @staticmethod
    def pick(keypoints: Tensor, indices: tuple[int, ...]) -> Tensor:
        """See `PosePost`."""
        return torch.stack([keypoints[:, index] for index in indices], 1)


class Pose(nn.Module):
    """`frame`, `boxes`, `state`, `seconds` -> `keypoints`, `joints`, `next_boxes`, `next_state`; see `Detect`.

    Args:
        network: pictures to heatmaps, at float32.
        frame_size: height and width, px.
        people: K.
        visible_confidence: from which on a keypoint is visible.
        half: bring the network to float16.
    """

    def __init__(
        self, network: nn.Module, frame_size: Size, people: int, visible_confidence: float, *, half: bool
    ) -> None:
        super().__init__()
        self.dtype = torch.float16 if half else torch.float32
        self.sample = CropSampling(frame_size, people)
        self.normalise = Normalise(IMAGENET_MEAN, IMAGENET_DEVIATION)
        self.network = network.to(dtype=self.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.post = PickingPost(visible_confidence)

    def forward(self, frame: Tensor, boxes: Tensor, state: Tensor, seconds: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        heatmaps = self.network(self.normalise(self.sample(frame, boxes)).to(self.dtype))
        result: tuple[Tensor, ...] = self.post(heatmaps.float(), boxes, state, seconds)
        return result


class OnDevice:
    """A piece of device memory as torch takes it, without a copy."""

    def __init__(self, address: int, shape: tuple[int, ...], dtype: Any) -> None:
        place = {"data": (address, False), "shape": shape, "typestr": np.dtype(dtype).str, "strides": None}
        self.__cuda_array_interface__ = {**place, "version": 3}


class TorchContext:
    """A module bound to memory; see `engines.device.Context`.

    What it computes on the way lies in a pool of its own, so that a graph may keep the addresses. cuBLAS's workspace as
    well: torch keeps one for each stream, known by its handle, and the stream of a capture leaves its handle to the
    next one, whose graph may run at the same time.
    """

    def __init__(self, module: nn.Module, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        self._module, self._inputs, self._outputs = module, inputs, outputs
        self._pool = torch.cuda.MemPool()

    @torch.no_grad()
    def enqueue(self, stream: protocol.Stream) -> None:
        """See `engines.device.Context`."""
        assert isinstance(stream, CudaStream)
        on_stream = torch.cuda.stream(torch.cuda.ExternalStream(stream.handle))
        with on_stream, torch.cuda.use_mem_pool(self._pool):
            torch._C._cuda_clearCublasWorkspaces()  # the next is of this pool
            for place, value in zip(self._outputs, self._module(*self._inputs), strict=True):
                place.copy_(value)

    def capturable(self, stream: protocol.Stream) -> bool:
        """See `engines.device.Context`."""
        return True

    def close(self) -> None:
        """See `engines.device.Context`."""


class TorchEngine:
    """A module on the GPU; see `engines.device.Engine`.

    Args:
        module: takes the input tensors in their order and gives the outputs in theirs.
        tensors: both.
    """

    def __init__(self, module: nn.Module, tensors: Mapping[str, protocol.Tensor]) -> None:
        self._module, self.tensors = module.cuda().eval(), tensors

    def context(self, memory: Mapping[str, protocol.Memory], targets: int) -> TorchContext:
        """See `engines.device.Engine`."""
        views = {
            name: torch.as_tensor(OnDevice(memory[name].address, one.sized(targets), one.dtype), device="cuda")
            for name, one in self.tensors.items()
        }
        inputs = [views[name] for name, one in self.tensors.items() if one.is_input]
        outputs = [views[name] for name, one in self.tensors.items() if not one.is_input]
        return TorchContext(self._module, inputs, outputs)

    def close(self) -> None:
        """See `engines.device.Engine`."""


def modules_of(info: ChainInfo, detector: Path, pose: Path, *, half: bool) -> dict[str, nn.Module]:
    """The three graphs at the sizes of a folder of engines, with the weights of two files."""
    width, height = info.manifests["detect"].image_size
    frame_size = info.frame_size[1], info.frame_size[0]
    return {
        "detect": Detect(load_detector(detector), frame_size, (height, width), MOST_PEOPLE, half=half),
        "pose": Pose(load_pose_network(pose), frame_size, info.people, info.visible_confidence, half=half),
        "encode": Encode(load_encoder(info.encoder), info.visible_confidence),
    }


def open_torch(
    info: ChainInfo,
    detector: Path = OWN_WEIGHTS["detector"],
    pose: Path = OWN_WEIGHTS["pose"],
    *,
    half: bool = True,
) -> DeviceChain:
    """The three graphs on the GPU, run by torch; see `modules_of`. Closed by the caller.

    Raises:
        EngineError: torch finds no GPU, or weights that do not fit.
    """
    if not torch.cuda.is_available():
        raise EngineError(
            f"torch {torch.__version__} finds no CUDA device",
            "a build of torch for CUDA is needed",
            "install one, or leave --torch out",
        )
    tensors = {name.partition("_")[0]: contract(manifest) for name, manifest in info.manifests.items()}
    modules = modules_of(info, detector, pose, half=half)
    device = CudaDevice()
    return DeviceChain(info, device, {name: TorchEngine(module, tensors[name]) for name, module in modules.items()})


class Bare(nn.Module):
    """A network alone: a normalised picture at float32 in, its outputs at float32 back."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network, self.dtype = network, dtype

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        outputs = self.network(image.to(self.dtype))
        return tuple(one.float() for one in (outputs if isinstance(outputs, tuple) else (outputs,)))


@torch.no_grad()
def bare_engines(info: ChainInfo, detector: Path, pose: Path, *, half: bool = True) -> dict[str, TorchEngine]:
    """The networks of two files without the rest of their graphs, as `host_chain.OUTPUTS` names their outputs."""
    engines = {}
    modules = modules_of(info, detector, pose, half=half)
    for name, outputs in OUTPUTS.items():
        (width, height), count = info.manifests[name].image_size, 1 if name == "detect" else info.people
        module = modules[name]
        bare = Bare(module.network, module.dtype).cuda().eval()  # type: ignore[arg-type]
        image = torch.zeros((count, 3, height, width), device="cuda")
        shapes = zip(outputs, (tuple(one.shape) for one in bare(image)), strict=True)
        tensors = {NETWORK_INPUT: protocol.Tensor(NETWORK_INPUT, tuple(image.shape), np.float32, True)}
        tensors |= {output: protocol.Tensor(output, shape, np.float32, False) for output, shape in shapes}
        engines[name] = TorchEngine(bare, tensors)
    return engines
