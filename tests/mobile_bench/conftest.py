import pytest

from ofa_tf import spaces


@pytest.fixture(scope="session")
def space() -> spaces.Space:
    """One block per stage: few enough to be measured in a moment."""
    return spaces.mobilenet_v3(
        num_classes=3,
        ks=(3,),
        e=(2, 3, 4),
        d=(1,),
        resolutions=(24, 32),
        base_widths=(8, 8, 8, 16),
        strides=(2, 2),
        head_widths=(16, 24),
        name="bench_test",
    )
