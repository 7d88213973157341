"""Files that are nearly right: a good file's bytes, values or arrays with something wrong. Knows no reader."""

import copy
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

Value = Any

NUMBERS = (
    0, -1, 1, 2, 17, 65536, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, -0.0, 1e-320, 1e38, 1e39, 1e308, -1e308,
    float("nan"), float("inf"), float("-inf"), True, False,
)  # fmt: skip
TEXTS = (
    "", " ", "\0", "a\nb", "nan", "1e999", "-", "left_wrist", "../../x", "/", "x" * 300, "\ud800", "Á木\u202e",
    "__proto__", "null", "posemirror-target", "detect", "%s%n", "0x10", "١",
)  # fmt: skip
ODD: st.SearchStrategy[Value] = st.one_of(
    st.none(),
    st.sampled_from(NUMBERS),
    st.sampled_from(TEXTS),
    st.integers(),
    st.floats(),
    st.text(max_size=6),
    st.recursive(
        st.none() | st.sampled_from(NUMBERS) | st.sampled_from(TEXTS),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(TEXTS), inner, max_size=3),
        max_leaves=6,
    ),
)


def places(value: Value, path: tuple[Value, ...] = ()) -> list[tuple[Value, ...]]:
    """Where values stand in a document; of long lists the first, the second and the last."""
    found = [path]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places(inner, (*path, key))
    elif isinstance(value, list):
        for index in sorted({0, 1, len(value) - 1} & set(range(len(value)))):
            found += places(value[index], (*path, index))
    return found


@st.composite
def changed_document(draw: st.DrawFn, document: Value) -> Value:
    """A document of JSON's or TOML's kinds with one to three values replaced, taken out, doubled or wrapped."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(document)))
        if not path:
            if draw(st.integers(0, 9)) == 0:
                document = draw(ODD)
            continue
        holder = document
        for key in path[:-1]:
            holder = holder[key]
        key = path[-1]
        change = draw(st.sampled_from(("replace", "replace", "remove", "double", "wrap", "rename", "deepen")))
        if change == "replace":
            holder[key] = draw(ODD)
        elif change == "remove":
            del holder[key]
        elif change == "wrap":
            holder[key] = [holder[key]]
        elif change == "deepen":
            for _ in range(draw(st.sampled_from((3, 50)))):
                holder[key] = [holder[key]]
        elif isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        else:
            holder[draw(st.sampled_from(TEXTS))] = holder[key] if change == "double" else holder.pop(key)
    return document


@st.composite
def changed_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes cut off, flipped, put in, taken out, swapped or doubled; or others altogether."""
    kind = draw(st.sampled_from(("cut", "flip", "flip", "insert", "remove", "double", "swap", "other", "whole")))
    if kind == "other" or not data:
        return draw(st.binary(max_size=200))
    at = draw(st.integers(0, len(data)))
    to = min(len(data), at + draw(st.integers(1, 64)))
    if kind == "cut":
        return data[:at]
    if kind == "insert":
        return data[:at] + draw(st.binary(min_size=1, max_size=20)) + data[at:]
    if kind == "remove":
        return data[:at] + data[to:]
    if kind == "double":
        return data[:to] + data[at:]
    if kind == "swap":
        other = draw(st.integers(0, len(data)))
        return data[:other] + data[at:to] + data[other:]
    if kind == "whole":
        return data
    some = bytearray(data)
    for _ in range(draw(st.integers(1, 8))):
        some[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(some)


def json_bytes(document: Value) -> bytes:
    """JSON as Python writes it, NaN and lone surrogates included."""
    return json.dumps(document, ensure_ascii=True).encode()


def json_files(*documents: Value) -> st.SearchStrategy[bytes]:
    """Files near these documents."""
    near = [changed_document(document).map(json_bytes) for document in documents]
    broken = [changed_bytes(json_bytes(document)) for document in documents]
    nested = st.sampled_from((1_000, 100_000)).map(lambda depth: b"[" * depth)
    return st.one_of(*near, *near, *near, *broken, nested)


def json_lines(*rows: Value) -> st.SearchStrategy[bytes]:
    """Files of a JSON object a line near these rows: one of them changed, some left out, doubled or broken."""

    def joined(changed: tuple[int, Value], order: Sequence[int]) -> bytes:
        lines = [json_bytes(changed[1] if index == changed[0] else row) for index, row in enumerate(rows)]
        return b"\n".join(lines[index] for index in order) + b"\n"

    index = st.integers(0, len(rows) - 1)
    changed = index.flatmap(lambda one: st.tuples(st.just(one), changed_document(rows[one])))
    order = st.just(range(len(rows))) | st.lists(index, max_size=len(rows) + 2)
    return st.one_of(
        st.builds(joined, changed, st.just(range(len(rows)))),
        st.builds(joined, changed, order),
        changed_bytes(b"\n".join(json_bytes(row) for row in rows) + b"\n"),
    )


DTYPES = ("f2", "f4", "f8", "i1", "i8", "u8", "?", "c16", "U5", "S3", "M8[s]", "V7")
SIZES = (0, 1, 2, 3, 5, 13, 15, 16, 17)


@st.composite
def odd_array(draw: st.DrawFn, array: Value) -> Value:
    """An array near another: of another type or shape, or with numbers that are none."""
    change = draw(st.sampled_from(("type", "shape", "values", "values", "scalar", "objects", "axis")))
    array = np.array(array)
    if change == "type":
        return np.zeros(array.shape, draw(st.sampled_from(DTYPES)))
    if change == "shape":
        shape = draw(st.lists(st.sampled_from(SIZES), max_size=4))
        return np.ones(shape, array.dtype)
    if change == "scalar":
        return np.array(draw(st.sampled_from(NUMBERS[:9] + NUMBERS[10:])))
    if change == "objects":
        return np.array([{"a": 1}, None], object)
    if change == "axis" and array.ndim:
        return np.moveaxis(array, 0, -1)
    if array.size and array.dtype.kind in "fiu":
        flat = array.reshape(-1)
        with np.errstate(all="ignore"):
            wrong = np.array(draw(st.sampled_from((-1.0, 0.0, 1e9, 1e300, np.nan, np.inf, -np.inf))))
            flat[draw(st.integers(0, array.size - 1))] = wrong.astype(array.dtype)
    return array


def npz_bytes(arrays: dict[str, Value]) -> bytes:
    """A NumPy archive."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@st.composite
def npz_files(draw: st.DrawFn, arrays: dict[str, Value]) -> bytes:
    """Archives near these arrays; members that are no arrays, doubled or cut off."""
    change = draw(st.sampled_from(("array", "array", "array", "missing", "bytes", "member", "single")))
    name = draw(st.sampled_from(sorted(arrays)))
    if change == "array":
        return npz_bytes(arrays | {name: draw(odd_array(arrays[name]))})
    if change == "missing":
        return npz_bytes({key: value for key, value in arrays.items() if key != name})
    if change == "single":
        file = io.BytesIO()
        np.save(file, arrays[name])
        return file.getvalue()
    data = npz_bytes(arrays)
    if change == "bytes":
        return draw(changed_bytes(data))
    broken = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as good, zipfile.ZipFile(broken, "w") as bad:
        for member in good.namelist():
            content = good.read(member)
            bad.writestr(member, draw(changed_bytes(content)) if member == f"{name}.npy" else content)
    return broken.getvalue()


def near(make: Callable[[], Sequence[bytes]]) -> st.SearchStrategy[bytes]:
    """Files near those that `make` gives, made when they are first asked for."""
    return st.deferred(lambda: st.one_of(*(changed_bytes(data) for data in make())))
