"""Values of JSON files: refused in our words, and written so that they read back."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import BadInputError
from realtime.json_values import float_for_json, read_json

steady = settings(derandomize=True, deadline=None)


def test_a_number_of_thousands_of_digits_is_refused_in_our_words(tmp_path: Path) -> None:
    path = tmp_path / "big.json"
    path.write_text(f"[{'9' * 5000}]")
    with pytest.raises(BadInputError, match="holds a number of too many digits; a sheet is needed; "):
        read_json(path, "a sheet is needed")


@steady
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float32_in_json_reads_back_to_the_bit(value: float) -> None:
    single = np.float32(value)
    assert np.float32(json.loads(json.dumps(float_for_json(single)))).tobytes() == single.tobytes()
