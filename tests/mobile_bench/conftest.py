import pytest

from ofa_tf import spaces
from tests.phone.adb_server import AdbServer
from tests.phone.loopback_phone import LoopbackPhone


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


@pytest.fixture(scope="session")
def adb_server():
    """A real adb server; `adb_server.adb` is the client, `adb_server.environment` what a binary needs to find it."""
    with AdbServer() as server:
        yield server


@pytest.fixture
def phone(adb_server) -> LoopbackPhone:
    """A phone that `adb_server` knows; `phone.faults` breaks it."""
    with LoopbackPhone() as phone, adb_server.connected(phone):
        yield phone


@pytest.fixture
def device(adb_server, phone):
    """The same phone as mobile_bench sees it."""
    return adb_server.adb.device(phone.serial)
