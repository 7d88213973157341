#!/usr/bin/env python3
"""Command line of the build step: parse, wire, run. What it does is in `engines/build.py`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from engines.errors import EXIT_OK
from engines.exits import documented_exits
from engines.gpu import choose_backend, find_gpu
from engines.manifest import Manifest, read_manifest
from engines.options import (
    add_version,
    frame_size,
    optimisation_level,
    people_count,
    workspace_bytes,
)
from engines.tensorrt_build import BuildSettings, parse_compute_capability
from engines.weights_registry import REGISTRY


def parser() -> argparse.ArgumentParser:
    """The options, in groups."""
    options = argparse.ArgumentParser(
        prog="build_engines.py",
        description="Build the detect, pose and encode engines that run_live.py runs.",
        epilog="Exit codes: 0 done, 2 bad arguments or file, 4 weights or engine unusable, 130 Ctrl-C.",
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
    networks.add_argument("--encoder", metavar="FILE", help="one more encoder beside those that ship")
    networks.add_argument("--weights-dir", type=Path, metavar="DIR", help="take weights from here, download nothing")
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
    engines.add_argument("--out", type=Path, default=Path("engines/built"), metavar="DIR", help="default engines/built")
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


def list_weights(console: Console) -> None:
    """Prints the registry."""
    table = Table("name", "file", "licence", "source", title="Known weights")
    for entry in REGISTRY.values():
        table.add_row(entry.name, entry.filename, entry.licence, entry.url)
    console.print(table)


def list_engines(title: str, manifests: Sequence[Manifest], folder: Path, console: Console) -> None:
    """Prints what engines are, and of TensorRT's how they were built."""
    table = Table("engine", "network", "precision", "frame", "size", title=title)
    for manifest in manifests:
        size = sum((folder / name).stat().st_size for name in manifest.files if (folder / name).is_file())
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


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Builds, telling its progress."""
    target = parse_compute_capability(arguments.target) if arguments.target else None
    gpu = find_gpu()
    backend, why = choose_backend(arguments.backend, gpu, builds_for_other_gpu=target is not None)
    console.print(f"Backend: {why}.", soft_wrap=True)
    if target is None and backend != "onnx":
        target = parse_compute_capability(gpu.compute_capability)
    from engines.build import BuildEvents, BuildRequest, build
    from engines.networks.encoders import ENCODER_NAMES

    out = arguments.out
    own_gpu = backend != "onnx" and not arguments.target
    request = BuildRequest(
        detector=arguments.detector,
        pose=arguments.pose,
        encoders=[*ENCODER_NAMES, *([arguments.encoder] if arguments.encoder else [])],
        frame_size=arguments.frame_size,
        people=arguments.people,
        backend=backend,
        precision=arguments.precision or ("fp32" if backend == "onnx" else "fp16"),
        out=out,
        weights_dir=arguments.weights_dir,
        trust_weights=arguments.trust_weights,
        target=target,
        gpu=gpu.name if own_gpu else "",
        driver=gpu.driver if own_gpu else "",
        settings=BuildSettings(
            arguments.optimisation_level, arguments.workspace, out.with_name(f"{out.name}.{backend}.timing")
        ),
    )
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns, TextColumn("{task.fields[amount]}"), console=console, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("start", total=None, amount="")

        def on_step(name: str) -> None:
            progress.update(task, description=name, completed=0, total=None, amount="")
            if not console.is_terminal:
                console.print(f"  {name}", soft_wrap=True)

        def on_download(done: int, total: int | None) -> None:
            amount = f"{done / 1e6:.1f} MB" + (f" of {total / 1e6:.1f} MB" if total else "")
            progress.update(task, completed=done, total=total, amount=amount)

        def on_tensorrt(phase: str, done: int, total: int) -> None:
            progress.update(task, description=phase, completed=done, total=total)

        manifests = build(request, BuildEvents(on_step, on_download, on_tensorrt))
    list_engines(f"Built in {arguments.out}", manifests, arguments.out, console)
    console.print(f"Next: run_live.py --engines {arguments.out} --target POSE.json", soft_wrap=True)


@documented_exits("stopped; nothing was changed")
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    console = Console(markup=False, highlight=False)
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
