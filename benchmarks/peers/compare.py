"""posemirror beside its peers: the same clip, the same machine, the same run; CPU time a frame and peak memory.

    python benchmarks/peers/compare.py --setup
    python benchmarks/peers/compare.py [--clip CLIP] [--engines NAME=DIR ...] [--out FILE.md]

Each peer runs in a process and an environment of its own: two are made with `python -m venv` and pinned versions under
--cache, with --setup or when they are first needed. The row of ours is the engines of the repository unless --engines
names others. The models of the peers on ONNX Runtime are built here from their published architectures (needs the build
extra) WITH RANDOM WEIGHTS: the cost of a network does not depend on its weights, and nothing is downloaded. So no row
says anything about accuracy, and non-maximum suppression has little to do, which is in the peers' favour.

CPU time: all threads of the process (time.process_time), from the end of 30 warm-up frames to the last of --frames,
decoding the clip included (row `decoding alone`). Memory: the largest resident size of the process. The peers take
turns, --rounds times; the table has medians, and ratios to the first row of ours, each taken within its round.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent))

from engines.whole_files import write_whole
from realtime.demo import CLIP

ENVIRONMENTS = {
    "mediapipe": ("mediapipe==0.10.21",),
    "onnx": ("onnxruntime==1.32.0", "numpy==2.4.6", "opencv-python-headless==5.0.0.93"),
}


def environment(name: str, cache: Path) -> Path:
    """The Python of a peer's environment, made when it is not there."""
    python = cache / name / "bin" / "python"
    done = cache / name / "complete"
    if not done.exists():
        print(f"Making {python.parent.parent} with {', '.join(ENVIRONMENTS[name])}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", cache / name], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *ENVIRONMENTS[name]], check=True)
        done.touch()
    return python


def export(module, path: Path, height: int, width: int) -> None:
    """Writes a torch network as ONNX, unless it is there."""
    import torch

    picture = torch.zeros(1, 3, height, width)
    module.eval()
    torch.onnx.export(module, (picture,), path, input_names=["image"], opset_version=17, dynamo=False)


def models(cache: Path) -> dict[str, Path]:
    """The peers' networks, with random weights."""
    paths = {name: cache / f"{name}.onnx" for name in ("yolo11n-pose", "yolov5nu", "hrnet_w32")}
    if all(path.exists() for path in paths.values()):
        return paths
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_VERBOSE="false")
    from ultralytics.nn.tasks import DetectionModel, PoseModel

    from engines.networks.hrnet import hrnet

    for name, kind, yaml in (
        ("yolo11n-pose", PoseModel, "yolo11n-pose.yaml"),
        ("yolov5nu", DetectionModel, "yolov5n.yaml"),
    ):
        network = kind(yaml, verbose=False).eval().fuse(verbose=False)
        network.model[-1].export, network.model[-1].format = True, "onnx"
        export(network, paths[name], 640, 640)
    export(hrnet("hrnet_w32"), paths["hrnet_w32"], 256, 192)
    return paths


def rows(arguments: argparse.Namespace) -> dict[str, list[str]]:
    """Every row of the table and the command that measures it; ours first."""
    mediapipe, onnx = (str(environment(name, arguments.cache)) for name in ENVIRONMENTS)
    network = {name: str(path) for name, path in models(arguments.cache).items()}
    clip = ["--clip", str(arguments.clip), "--frames", str(arguments.frames)]
    found = {}
    for given in arguments.engines:
        name, _, folder = given.rpartition("=")
        place = folder if folder == "quickstart" else str(Path(folder).resolve())
        found[f"posemirror, {name or folder}"] = [sys.executable, "ours.py", *clip, "--engines", place]
    naive = [onnx, "naive.py", *clip, "--detector", network["yolov5nu"], "--pose"]
    found["MediaPipe Pose 0.10.21, full"] = [mediapipe, "mediapipe_pose.py", *clip]
    found["yolo11n-pose 640, ONNX Runtime"] = [onnx, "yolo_pose.py", *clip, "--model", network["yolo11n-pose"]]
    found["naive script: YOLOv5nu 640, HRNet-W32"] = [*naive, network["hrnet_w32"]]
    if arguments.tinypose:
        found["naive script: YOLOv5nu 640, TinyPose"] = [*naive, str(arguments.tinypose)]
    found["decoding alone"] = [onnx, "decode_only.py", *clip]
    return found


def measured(command: list[str]) -> dict[str, float]:
    """Runs one peer."""
    quiet = os.environ | {"ORT_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(command, cwd=HERE, env=quiet, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def table(results: dict[str, list[dict[str, float]]], arguments: argparse.Namespace) -> str:
    """The report, as Markdown."""
    names = list(results)
    ours = results[names[0]]
    lines = ["| | CPU-ms a frame | against ours | peak memory, MB | |", "| --- | --- | --- | --- | --- |"]
    for name, runs in results.items():
        ratio = statistics.median(run["cpu_ms"] / own["cpu_ms"] for run, own in zip(runs, ours, strict=True))
        cpu, peak = (statistics.median(run[key] for run in runs) for key in ("cpu_ms", "peak_mb"))
        peer = not name.startswith("posemirror") and name != "decoding alone"
        said = ("**faster than ours**" if ratio < 1 else "slower") if peer else ""
        lines.append(f"| {name} | {cpu:.1f} | {ratio:.2f} | {peak:.0f} | {said} |")
    described = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.split(":")[1].strip() for line in described if "model name" in line), "an unknown processor")
    return "\n".join(
        [
            f"# Peers side by side, {datetime.date.today().isoformat()}",
            "",
            f"`python benchmarks/peers/compare.py --clip {arguments.clip.name} --frames {arguments.frames} "
            f"--rounds {arguments.rounds}` on {os.cpu_count()} cores of {processor}, {platform.system()} "
            f"{platform.release()}, Python {platform.python_version()}, load {os.getloadavg()[2]:.1f} from other work "
            f"(so CPU time, never wall time). Medians of {arguments.rounds} rounds in which the rows took turns; the "
            "clip's decoding is in every row. **The networks of yolo11n-pose and of the naive scripts have random "
            "weights** (TinyPose apart): this is about cost only. What starts and stops each figure: the head of "
            "benchmarks/peers/compare.py.",
            "",
            *lines,
            "",
        ]
    )


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--engines", action="append", metavar="[NAME=]DIR", help="ours; again for several rows")
    parser.add_argument("--tinypose", type=Path, help="one more row: TinyPose as ONNX in the naive script")
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--setup", action="store_true", help="only make the environments and networks of the peers")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "posemirror" / "peers")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    arguments.engines = arguments.engines or ["quickstart"]
    arguments.cache.mkdir(parents=True, exist_ok=True)
    arguments.clip, arguments.tinypose = arguments.clip.resolve(), arguments.tinypose and arguments.tinypose.resolve()
    commands = rows(arguments)
    if arguments.setup:
        print(f"The peers' environments and networks are in {arguments.cache}")
        return 0
    results: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    for number in range(arguments.rounds):
        for name, command in commands.items():
            results[name].append(measured(command))
            print(f"round {number + 1}, {name}: {results[name][-1]['cpu_ms']:.1f} CPU-ms a frame", flush=True)
    report = table(results, arguments)
    print(report)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(arguments.out, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
