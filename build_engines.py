#!/usr/bin/env python3
"""Command line of the build step: parse, wire, run. What it does is in `engines/build.py`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from engines.errors import EXIT_OK, BadInputError, in_command
from engines.exits import documented_exits, end_by_exception, starting

with starting(__name__):
    from engines.build_display import BuildDisplay, list_engines, list_weights
    from engines.gpu import GpuState, choose_backend, find_gpu
    from engines.manifest import Manifest, read_manifest
    from engines.options import (
        OptionParser,
        add_version,
        folder_path,
        frame_size,
        given_name,
        optimisation_level,
        people_count,
        workspace_bytes,
    )
    from engines.tensorrt_build import BuildSettings, ComputeCapability, parse_compute_capability
    from engines.terminal import Terminal


def parser() -> argparse.ArgumentParser:
    """The options, in groups."""
    options = OptionParser(
        prog="build_engines.py",
        description="Build the detect, pose and encode engines that run_live.py runs.",
        epilog="Exit codes: 0 done, 2 bad arguments or file, 4 weights or engine unusable, 130 Ctrl-C, 143 SIGTERM.",
    )
    networks = options.add_argument_group("networks")
    networks.add_argument(
        "--detector",
        default="yolov5nu",
        metavar="yolov5nu|yolov5su|quickstart|FILE",
        help="person detector (default yolov5nu)",
    )
    networks.add_argument(
        "--pose",
        default="hrnet_w32",
        metavar="hrnet_w32|hrnet_w48|quickstart|FILE",
        help="pose network (default hrnet_w32)",
    )
    networks.add_argument("--encoder", type=given_name, metavar="FILE", help="one more encoder beside those that ship")
    networks.add_argument(
        "--weights-dir", type=folder_path, metavar="DIR", help="take weights from here, download nothing"
    )
    networks.add_argument("--trust-weights", action="store_true", help="load a .pt of unknown hash (it can run code)")
    networks.add_argument(
        "--list", action="store_true", help="list the known weights and the engines in --out, and stop"
    )
    engines = options.add_argument_group("engines")
    engines.add_argument("--frame-size", type=frame_size, default=(720, 1280), metavar="WxH", help="default 1280x720")
    engines.add_argument("--people", type=people_count, default=1, metavar="N", help="people in a frame, 1 to 8")
    engines.add_argument("--backend", choices=("auto", "tensorrt", "onnx"), default="auto")
    engines.add_argument("--precision", choices=("fp16", "fp32"), help="default fp16 for TensorRT, fp32 for onnx")
    engines.add_argument("--for", dest="target", metavar="smXY", help="build for another GPU, with TensorRT-RTX")
    engines.add_argument(
        "--out", type=folder_path, default=Path("engines/built"), metavar="DIR", help="default engines/built"
    )
    tensorrt = options.add_argument_group("TensorRT")
    tensorrt.add_argument(
        "--optimisation-level",
        type=optimisation_level,
        default=3,
        metavar="0-5",
        help="0 builds quickly, 5 searches longest (default 3)",
    )
    tensorrt.add_argument(
        "--workspace",
        type=workspace_bytes,
        default=2 << 30,
        metavar="GIB",
        help="device memory for one layer's scratch (default 2)",
    )
    add_version(options)
    return options


def run(arguments: argparse.Namespace, console: Terminal) -> None:
    """Builds, telling its progress."""
    target = parse_compute_capability(arguments.target) if arguments.target else None
    if target is not None and arguments.backend == "onnx":
        raise BadInputError(
            f"--for {arguments.target} came with --backend onnx", "ONNX graphs are for any machine", "leave one out"
        )
    gpu = find_gpu()
    backend, why = choose_backend(arguments.backend, gpu, builds_for_other_gpu=target is not None)
    console.print(f"Backend: {why}.", soft_wrap=True)
    if target is None and backend != "onnx":
        target = parse_compute_capability(gpu.compute_capability)
    display = BuildDisplay(console)
    with display:  # before the import, which takes seconds
        manifests = built(arguments, backend, target, gpu, display)
    list_engines(f"Built in {arguments.out}", manifests, arguments.out, console)
    people = f"--people {arguments.people} " if arguments.people > 1 else ""
    console.print(f"Next: run_live.py --engines {in_command(arguments.out)} {people}--target POSE.json", soft_wrap=True)


def built(
    arguments: argparse.Namespace, backend: str, target: ComputeCapability | None, gpu: GpuState, display: BuildDisplay
) -> list[Manifest]:
    """Builds what the command line asks for."""
    from engines.build import build, step_count
    from engines.build_request import BuildEvents, BuildRequest
    from engines.networks.encoders import ENCODER_NAMES

    place = arguments.out.resolve()
    own_gpu = backend != "onnx" and not arguments.target
    request = BuildRequest(
        detector=arguments.detector,
        pose=arguments.pose,
        encoders=[*ENCODER_NAMES, *one_more_encoder(arguments.encoder, ENCODER_NAMES)],
        frame_size=arguments.frame_size,
        people=arguments.people,
        backend=backend,
        precision=arguments.precision or ("fp32" if backend == "onnx" else "fp16"),
        out=arguments.out,
        weights_dir=arguments.weights_dir,
        trust_weights=arguments.trust_weights,
        target=target,
        gpu=gpu.name if own_gpu else "",
        driver=gpu.driver if own_gpu else "",
        settings=BuildSettings(
            arguments.optimisation_level, arguments.workspace, place.with_name(f"{place.name}.{backend}.timing")
        ),
    )
    display.steps = step_count(request)
    events = BuildEvents(display.step, display.download, display.tensorrt, display.stopping)
    return build(request, events)


def one_more_encoder(given: str | None, shipped: Sequence[str]) -> list[str]:
    """What `--encoder` adds to those that ship.

    Raises:
        BadInputError: a file whose engine would have the name of one of those.
    """
    if given is None or given in shipped:
        return []
    if Path(given).stem in shipped:
        raise BadInputError(
            f"--encoder {given} would be built as {Path(given).stem}, which is an encoder that ships",
            f"other names than {', '.join(shipped)} are allowed",
            "rename the file",
        )
    return [given]


@documented_exits("stopped; nothing was changed")
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    end_by_exception()
    console = Terminal()
    arguments = parser().parse_args(argv)
    if arguments.list:
        list_weights(console)
        if manifests := [read_manifest(path) for path in sorted(arguments.out.glob("*.json"))]:
            list_engines(f"Engines in {arguments.out}", manifests, arguments.out, console)
    else:
        run(arguments, console)
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
