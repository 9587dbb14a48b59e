import pytest

from ofa_tf import spaces
from ofa_tf.devices.benchmark_model import BenchmarkOptions, find_binary
from ofa_tf.devices.phone import Phone
from tests.phone.adb_server import AdbServer
from tests.phone.loopback_phone import LoopbackPhone


def small_space() -> spaces.Space:
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
def space() -> spaces.Space:
    """A small one."""
    return small_space()


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


@pytest.fixture
def binary(phone, tmp_path):
    """The tool for the phone."""
    return find_binary(phone.abi, phone.write_tool(tmp_path / "the tool"))


@pytest.fixture
def session(device, binary, tmp_path):
    """Opens sessions on the phone, quick ones unless options are given, and keeps their notes."""
    quick = BenchmarkOptions(runs=5, min_seconds=0.002, warmup_seconds=0.001, max_seconds=2.0, cooling_seconds=4)

    def opened(options=quick, **arguments):
        return Phone(device, binary, options, log_folder=tmp_path / "logs", on_note=notes.append, **arguments)

    notes = opened.notes = []
    return opened


@pytest.fixture(scope="session")
def model() -> bytes:
    """A file of one convolution."""
    import keras

    from ofa_tf import deploy

    inputs = keras.Input((8, 8, 4))
    return deploy.convert(keras.Model(inputs, keras.layers.Conv2D(4, 3, activation="relu")(inputs)), "float32")
