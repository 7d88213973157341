"""Every encoder compiles under TensorRT's parser and builder, which TensorRT-RTX shares and runs without a GPU."""

from pathlib import Path

import pytest
import torch

from engines.networks.encoders import ENCODER_NAMES, BlendedEncoder, load_encoder

trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed (extra: test)")


@pytest.mark.parametrize("name", [*ENCODER_NAMES, "blended"])
def test_an_encoder_compiles_without_a_gpu(name: str, tmp_path: Path) -> None:
    path = tmp_path / "encoder.onnx"
    arguments = torch.rand(4, 15, 2) * 400, torch.ones(4, 15)
    encoder = BlendedEncoder({"bones_first": True}).eval() if name == "blended" else load_encoder(name)
    torch.onnx.export(encoder, arguments, str(path), input_names=["xy", "mask"], dynamo=False)
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(path.read_bytes()), [str(parser.get_error(index)) for index in range(parser.num_errors)]
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM89, 0)
    assert builder.build_serialized_network(network, config) is not None
