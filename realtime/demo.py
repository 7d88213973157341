"""The demo: which clip, target and engines `run_live.py --demo` uses. Runs nothing itself."""

import argparse
from pathlib import Path

from rich.console import Console

from engines.errors import EngineError, name_of
from engines.weights_registry import SHIPPED_ENGINES
from realtime.sources import source_name

FOLDER = Path(__file__).parent / "demo_clip"
CLIP, TARGET = FOLDER / "roof.mp4", FOLDER / "roof.json"
OUTPUT = Path("demo")
ENGINES = OUTPUT / "engines"


def demo_arguments(arguments: argparse.Namespace, console: Console) -> argparse.Namespace:
    """The command line with everything that the user left open filled in by the demo's own files."""
    given = vars(arguments)
    engines = arguments.engines or str(next((folder for folder in (SHIPPED_ENGINES, ENGINES) if folder.is_dir()), ""))
    if not engines:
        raise EngineError(
            "there are no engines for the demo",
            f"{SHIPPED_ENGINES} or {ENGINES} is needed",
            "run make demo, which builds them",
        )
    OUTPUT.mkdir(exist_ok=True)
    source = str(CLIP) if arguments.source == "0" else arguments.source
    shown = CLIP.name if source == str(CLIP) else source_name(source)
    record, results = arguments.record or OUTPUT / "demo.mp4", arguments.results or OUTPUT / "demo.jsonl"
    files = f"{name_of(record)} and {name_of(results)}"
    console.print(f"Demo: {shown} against {TARGET.name}; files go to {files}.", highlight=False, soft_wrap=True)
    filled_in = {"target": TARGET, "source": source, "engines": engines, "record": record, "results": results}
    return argparse.Namespace(**given | filled_in)
