"""The bit contract of the packed kernels: one answer, on every instruction set, by every compiler, in any batch."""

import json
import re
from pathlib import Path

import pytest

from tests.kernels.simd import build
from tests.kernels.simd.conftest import needs

pytestmark = pytest.mark.timeout(600)  # it compiles the kernels first

FEWEST_CASES = {"all": 250, "quick": 150}
NEHALEM = ("qemu-x86_64", "-cpu", "Nehalem")  # SSE 4.2, but neither AVX nor FMA
ARM = "aarch64-linux-gnu-gcc"
LOADER = Path("/lib64/ld-linux-x86-64.so.2")
NO_FMA = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-AVX2"}


def golden():
    return json.loads(build.GOLDEN.read_text())


def differences(answers):
    """The cases whose hash is not the golden one; that too few were tried."""
    expected = golden()["hashes"]
    few = [] if len(answers) >= FEWEST_CASES["quick"] else [f"only {len(answers)} cases"]
    return few + [name for name, bits in answers.items() if bits != expected.get(name)]


def checked(driver, isa, *quick, runner=()):
    """The last line of `driver check`, which ends with an error where a number is wrong."""
    return build.run(*runner, driver, "check", isa, *quick).splitlines()[-1]


def test_flags_are_those_of_the_build():
    line = next(
        line
        for line in (build.ROOT / "setup.py").read_text().splitlines()
        if "-ffp-contract=off" in line and "[" in line
    )
    assert [flag for flag in re.findall(r'"(-[^"]+)"', line) if flag != "-g0"] == list(build.FLAGS)


def test_golden_hashes_are_of_this_order_of_additions():
    text = (build.KERNELS / "simd" / "packed.h").read_text()
    assert int(re.search(r"#define SG_BITS (\d+)", text)[1]) == golden()["bits"]
    assert len(golden()["hashes"]) >= FEWEST_CASES["all"]


def test_golden_hashes_are_of_different_cases():
    bits = list(golden()["hashes"].values())
    assert len(set(bits)) == len(bits)


def test_every_instruction_set_of_this_cpu_gives_the_golden_bits(driver):
    found = build.isas(driver)
    assert found[-1] == "c" and len(found) >= 2
    answers = {isa: build.hashes(driver, isa) for isa in found}
    assert {isa: list(bits) for isa, bits in answers.items()} == {isa: list(golden()["hashes"]) for isa in found}
    assert {isa: differences(bits) for isa, bits in answers.items()} == {isa: [] for isa in found}


def test_numbers_are_right_and_do_not_depend_on_company(driver):
    """Against the equations in double; alone, in batches, in other lanes, with the input projected beforehand."""
    for isa in build.isas(driver):
        assert checked(driver, isa).startswith(f"{isa}: 0 failures")


def test_bits_do_not_depend_on_what_libm_finds(driver, on_x86):
    if not LOADER.exists():
        pytest.skip("needs glibc")
    active = [build.run(LOADER, "--list-diagnostics", env=env) for env in ({}, NO_FMA)]
    subdirs = [re.search(r"dl_hwcaps_subdirs_active=\S+", text)[0] for text in active]
    assert (subdirs[0] != subdirs[1]) == ("avx2" in build.isas(driver))  # it has understood us
    for isa in ("sse2", "c"):
        assert differences(build.hashes(driver, isa, env=NO_FMA)) == []


def test_a_cpu_without_fma_takes_sse2_and_gives_the_golden_bits(built, on_x86):
    needs(NEHALEM[0], "qemu-user")
    folder, objects = built
    driver = build.link(folder / "driver_static", "driver.c", objects, flags=(*build.FLAGS, "-static"))
    assert build.isas(driver, runner=NEHALEM) == ["sse2", "c"]
    for isa in ("sse2", "c"):
        assert differences(build.hashes(driver, isa, "quick", runner=NEHALEM)) == []
    assert checked(driver, "sse2", "quick", runner=NEHALEM).startswith("sse2: 0 failures")


@pytest.mark.slow
def test_arm_gives_the_golden_bits(tmp_path):
    needs("qemu-aarch64", "qemu-user")
    needs(ARM, "gcc-aarch64-linux-gnu")
    objects = build.compile_kernels(tmp_path, ARM)
    driver = build.link(tmp_path / "driver", "driver.c", objects, ARM, (*build.FLAGS, "-static"))
    runner = ("qemu-aarch64",)
    assert build.isas(driver, runner=runner) == ["neon", "c"]
    for isa in ("neon", "c"):
        assert differences(build.hashes(driver, isa, runner=runner)) == []
        assert checked(driver, isa, "quick", runner=runner).startswith(f"{isa}: 0 failures")


@pytest.mark.slow
def test_another_compiler_gives_the_golden_bits(tmp_path):
    needs("clang")
    driver = build.link(tmp_path / "driver", "driver.c", build.compile_kernels(tmp_path, "clang"), "clang")
    for isa in build.isas(driver):
        assert differences(build.hashes(driver, isa)) == []
