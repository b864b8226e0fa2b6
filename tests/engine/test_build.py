import pytest

from slipstream.engine.build import EngineBuild, engine_build, parse_system_info

INFO = "CPU : SSE3 = 1 | AVX = 1 | AVX2 = 0 | AMX_INT8 = 1 | OPENMP = 1 | REPACK = 1 | "


def build(*compiled: str) -> EngineBuild:
    return EngineBuild("1", "2", "", frozenset(compiled), "id")


def test_system_info_is_parsed() -> None:
    assert parse_system_info(INFO) == {"SSE3", "AVX", "AMX_INT8", "OPENMP", "REPACK"}
    assert parse_system_info("") == frozenset()


@pytest.mark.parametrize(
    ("compiled", "offered", "unused"),
    [
        ((), {"avx2", "fma"}, ("AVX2", "FMA")),
        (("AVX2", "FMA"), {"avx2", "fma"}, ()),
        (("AVX2",), {"avx2", "avx512f"}, ()),
        (("AVX2",), {"avx2", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"}, ("AVX512",)),
        (("AVX512_VNNI",), {"avx_vnni", "avx512_vnni"}, ()),
        (("NEON",), {"asimd", "asimddp", "i8mm"}, ("ARM_FMA", "DOTPROD", "MATMUL_INT8")),
    ],
)
def test_unused(compiled: tuple[str, ...], offered: set[str], unused: tuple[str, ...]) -> None:
    assert build(*compiled).unused(offered) == unused


def test_this_build() -> None:
    facts = engine_build()
    assert facts.binding_version in facts.build_id
    assert facts.compiled and facts.build_id == engine_build().build_id
    assert " " not in facts.build_id and "/" not in facts.build_id
