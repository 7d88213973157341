"""Reads pickled annotations without running their code: plain values and NumPy arrays only."""

import io
import pickle
from pathlib import Path
from typing import Any

from calibration.datasets.poseset import malformed, require_file

ALLOWED = {
    ("numpy", "dtype"), ("numpy", "ndarray"),
    ("numpy.core.multiarray", "scalar"), ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"), ("numpy._core.multiarray", "_reconstruct"),
}  # fmt: skip
"""The only names a file may ask for: what NumPy numbers and arrays are rebuilt with."""


class PlainUnpickler(pickle._Unpickler):
    """An unpickler that builds numbers, text, lists, dictionaries and NumPy arrays, and refuses everything else.

    Python's own: the one in C takes 16 GB of memory when a file of a few bytes asks for its memo's last place.
    """

    def find_class(self, module: str, name: str) -> Any:
        """The allowed NumPy constructors.

        Raises:
            UnpicklingError: the file asks for anything else.
        """
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        if module == "numpy.core.multiarray":
            module = "numpy._core.multiarray"
        return super().find_class(module, name)


def read_plain_pickle(path: Path, what: str) -> Any:
    """The content of a pickle that holds plain values and NumPy arrays only.

    Raises:
        BadInputError: the file is missing, is no pickle, or asks for any other class or function.
    """
    content = require_file(path, what).read_bytes()
    try:
        return PlainUnpickler(io.BytesIO(content)).load()
    except Exception as error:
        seen = f"not readable as plain values ({' '.join(str(error).split())})"
        raise malformed(path, seen, "a pickle of plain values and NumPy arrays, and nothing that runs code") from error
