"""The kernels under AddressSanitizer and UndefinedBehaviorSanitizer; and that these look at the kernels at all."""

import re

import pytest

from tests.kernels.simd import build
from tests.kernels.simd.conftest import needs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # it compiles the kernels first

SANITIZE = ("-O1", "-g", *build.FLAGS[1:], "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
PLANTED = {
    "PLANT_SHORT_ROW": r"AddressSanitizer: (heap-buffer-overflow|unknown-crash).*?/kernels/simd/gru_gates\.h",
    "PLANT_MISALIGNED": r"streamgru/kernels/simd/\w+\.h:\d+:\d+: runtime error: load of misaligned address",
}


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory):
    """The folder with sanitized kernels, and the object files in it."""
    needs("cc")
    folder = tmp_path_factory.mktemp("sanitized")
    return folder, build.compile_kernels(folder, flags=SANITIZE)


def test_kernels_are_clean_on_every_instruction_set(sanitized):
    folder, objects = sanitized
    driver = build.link(folder / "driver", "driver.c", objects, flags=SANITIZE)
    for isa in build.isas(driver):
        assert "0 failures" in build.run(driver, "check", isa, "quick")
        assert len(build.hashes(driver, isa)) > 250


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_bug_is_found(plant, sanitized):
    folder, objects = sanitized
    driver = build.link(folder / plant, "driver.c", objects, flags=(*SANITIZE, f"-D{plant}"))
    for isa in build.isas(driver):
        with pytest.raises(AssertionError) as raised:
            build.run(driver, "hash", isa, "quick")
        assert re.search(PLANTED[plant], str(raised.value), re.DOTALL)
