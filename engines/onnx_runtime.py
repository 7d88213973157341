"""ONNX Runtime, imported with its telemetry off.

Its wheels (1.32 was looked at) keep a database of every session in the user's cache folder and after some seconds send
it to mobile.events.data.microsoft.com, unless an environment variable forbids it before the import. With posemirror
nothing leaves the machine unasked, so the whole project imports `onnxruntime` from here.
"""

import os

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

__all__ = ["onnxruntime"]
