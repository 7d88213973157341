"""Whether the pose network runs in its int8 form on this machine, and why. Reads manifests' names; opens no engine.

The int8 form (u8 activations, s8 weights) is shipped beside the float32 one, as the engine `pose_int8`. It is faster
where the CPU multiplies 8-bit numbers and adds up the products in one instruction. Which instructions a CPU has is read
from /proc/cpuinfo, so outside Linux it is not known, and float32 runs.
"""

from pathlib import Path

from engines.errors import EngineError, in_command

INT8_POSE = "pose_int8"
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


def choose_int8(directory: Path, wish: str) -> tuple[bool, str]:
    """Whether the int8 pose engine of a folder is to run, and that in words; no words where the folder has none.

    Args:
        directory: a folder of engines.
        wish: one of `CHOICES`; `auto` takes int8 where the CPU has one of `DOT_PRODUCTS`.

    Raises:
        EngineError: `on`, and the folder has no such engine.
    """
    if not (directory / f"{INT8_POSE}.json").is_file():
        if wish == "on" and directory.is_dir():
            raise EngineError(
                f"{directory} has no engine {INT8_POSE}",
                "--int8 on needs one, and the quickstart network alone has an int8 form",
                "leave --int8 out, or run build_engines.py --backend onnx --detector quickstart --pose quickstart "
                f"--out {in_command(directory)}",
            )
        return False, ""
    if wish != "auto":
        return wish == "on", f"pose in {'int8' if wish == 'on' else 'float32'} as asked"
    found = dot_product()
    if found:
        return True, f"pose in int8 ({found})"
    return False, f"pose in float32, because {CPUINFO} shows none of {', '.join(DOT_PRODUCTS)}"
