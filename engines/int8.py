"""Whether detector and pose network run in their int8 forms on this machine, and why. Reads manifests' names only.

The int8 forms (u8 activations, s8 weights) are shipped beside the float32 ones, as the engines `detect_int8` and
`pose_int8`. They are faster where the CPU multiplies 8-bit numbers and adds up the products in one instruction. Which
instructions a CPU has is read from /proc/cpuinfo, so outside Linux it is not known, and float32 runs.
"""

from collections.abc import Mapping
from pathlib import Path

from engines.errors import EngineError, in_command

INT8_FORMS: Mapping[str, str] = {"detect": "detect_int8", "pose": "pose_int8"}
"""Task -> the engine that does it in int8."""
CHOICES = ("auto", "on", "off")
DEFAULT_INT8 = "auto"
DOT_PRODUCTS = ("avx512_vnni", "avx_vnni")
"""Linux's names of the instructions with which int8 was measured to be faster: those of x86 alone."""
CPUINFO = Path("/proc/cpuinfo")


def dot_product(cpuinfo: Path = CPUINFO) -> str:
    """The name of the instruction that every core has; empty where there is none, or nothing can be read."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    cores = [set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")]
    shared = set.intersection(*cores) if cores else set()
    return next((name for name in DOT_PRODUCTS if name in shared), "")


def int8_tasks(directory: Path) -> list[str]:
    """The tasks for which a folder has an int8 engine."""
    return [task for task, engine in INT8_FORMS.items() if (directory / f"{engine}.json").is_file()]


def task_of(engine: str) -> str:
    """What an engine does, in whichever form: `detect`, `pose` or `encode_NAME`."""
    return next((task for task, int8 in INT8_FORMS.items() if engine == int8), engine)


def choose_int8(directory: Path, wish: str) -> tuple[bool, str]:
    """Whether the int8 engines of a folder are to run, and that in words; no words where the folder has none.

    Args:
        directory: a folder of engines.
        wish: one of `CHOICES`; `auto` takes int8 where the CPU has one of `DOT_PRODUCTS`.

    Raises:
        EngineError: `on`, and the folder has no such engine.
    """
    tasks = " and ".join(int8_tasks(directory))
    if not tasks:
        if wish == "on" and directory.is_dir():
            raise EngineError(
                f"{directory} has no engine {' or '.join(INT8_FORMS.values())}",
                "--int8 on needs one, and the quickstart networks alone have an int8 form",
                "leave --int8 out, or run build_engines.py --backend onnx --detector quickstart --pose quickstart "
                f"--out {in_command(directory)}",
            )
        return False, ""
    if wish != "auto":
        return wish == "on", f"{tasks} in {'int8' if wish == 'on' else 'float32'} as asked"
    found = dot_product()
    if found:
        return True, f"{tasks} in int8 ({found})"
    return False, f"{tasks} in float32, because {CPUINFO} shows none of {', '.join(DOT_PRODUCTS)}"
