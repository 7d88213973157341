"""ONNX Runtime, imported with its telemetry off.

Its wheels (1.32 was looked at) keep a database of every session in the user's cache folder and after some seconds send
it to mobile.events.data.microsoft.com, unless an environment variable forbids it before the import. With posemirror
nothing leaves the machine unasked, so the whole project imports `onnxruntime` from here.
"""

import os
from pathlib import Path

from engines.errors import EngineError

_FORBIDDEN = "ORT_DISABLE_TELEMETRY"
_before = os.environ.get(_FORBIDDEN)
os.environ[_FORBIDDEN] = "1"
try:
    import onnxruntime
finally:
    if _before is None:
        del os.environ[_FORBIDDEN]
    else:
        os.environ[_FORBIDDEN] = _before
onnxruntime.disable_telemetry_events()

__all__ = ["cpu_session", "onnxruntime", "open_graph"]


def open_graph(
    path: Path, options: onnxruntime.SessionOptions, allowed: str, next_step: str
) -> onnxruntime.InferenceSession:
    """A graph opened on the CPU; `allowed` and `next_step` are of the error.

    Raises:
        EngineError: there is no such file, or ONNX Runtime cannot open it.
    """
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a class of its own for every status, with no common base
        fault = f"cannot be opened by ONNX Runtime {onnxruntime.__version__} ({type(error).__name__})"
        raise EngineError(f"{path} {fault if path.is_file() else 'is no file'}", allowed, next_step) from error


def cpu_session(model: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """A network on the CPU, on so many threads, with all else as ONNX Runtime has it; the live loop has its own way.

    Raises:
        EngineError: no such file, or none that ONNX Runtime can open.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return open_graph(model, options, "a complete ONNX graph is needed", "name another file")
