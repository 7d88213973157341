"""Which CPUs have an 8-bit dot product, as Linux says it."""

from pathlib import Path

import pytest

from engines.int8 import dot_product

CORE = (
    "processor\t: {}\nmodel name\t: A CPU with avx_vnni in its name\nflags\t\t: fpu sse2 avx2 {}\nvmx flags\t: vnmi\n\n"
)


@pytest.mark.parametrize(
    ("cores", "found"),
    [
        (["avx_vnni avx512f", "avx_vnni avx512f"], "avx_vnni"),
        (["avx512_vnni avx_vnni", "avx512_vnni avx_vnni"], "avx512_vnni"),
        (["avx512_vnni", "avx512_vnni avx_vnni"], "avx512_vnni"),
        (["avx_vnni", ""], ""),
        (["avx512f avx_vnni_int8", "avx512f avx_vnni_int8"], ""),
        ([], ""),
    ],
)
def test_an_instruction_counts_that_every_core_has(tmp_path: Path, cores: list[str], found: str) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("".join(CORE.format(index, flags) for index, flags in enumerate(cores)))
    assert dot_product(cpuinfo) == found


def test_where_linux_says_nothing_nothing_is_known(tmp_path: Path) -> None:
    assert dot_product(tmp_path / "cpuinfo") == ""
    (tmp_path / "arm").write_text("processor\t: 0\nFeatures\t: fp asimd asimddp\n")
    assert dot_product(tmp_path / "arm") == "", "never measured on Arm"
