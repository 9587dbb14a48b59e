"""Tables for targets: what one target asks for, or breaks, costs no other its table."""

import contextlib
import types

import pytest

from ofa_tf import spaces
from ofa_tf.common import InputError, OfaError
from ofa_tf.devices import BenchmarkOptions, Measurement, Settings
from ofa_tf.devices.host import Host
from ofa_tf.devices.phone_facts import Reading
from ofa_tf.predictors import BlockLatency, LatencyTable
from ofa_tf.specialize import Target
from tools import device_measuring
from tools.device_measuring import Devices


def target(name: str, device: str = "host", **fields) -> Target:
    return Target(name, device, {"latency_ms": 1.0}, **fields)


@pytest.fixture(name="built")
def _built(monkeypatch):
    """The image sides that tables were built for; tables of float32 end with an error that nobody thought of."""
    sides = []

    def build_table(self, space, precision, output, *, resolutions, **options):
        if precision == "float32":
            raise ZeroDivisionError("nobody thought of it")
        sides.append(list(resolutions))
        spaces.population.distinct_blocks(space, resolutions)
        table = LatencyTable("host", precision, self.threads, "folded-rows")
        table.save(output)
        return table

    def verify_table(table, *_, **options):
        return types.SimpleNamespace(summary=lambda: "checked", speed_ratio=None), table

    # Flags that no command line was parsed for.
    monkeypatch.setattr(device_measuring.device_flags, "options", lambda **options: BenchmarkOptions())
    monkeypatch.setattr(device_measuring.device_flags, "settings", lambda rounds=None: Settings())
    monkeypatch.setattr(Host, "build_table", build_table)
    monkeypatch.setattr("ofa_tf.devices.verification.verify_table", verify_table)
    return sides


def test_an_image_side_that_does_not_exist_costs_no_other_target_its_table(built, tmp_path):
    """The others' sides are measured; alone, the mistake is told."""
    space = spaces.get("ofa_tiny")
    good, bad = target("good", resolutions=(24,)), target("bad", resolutions=(25,))
    together = Devices(tmp_path / "together", rounds=1)
    together.build_tables([(it, space, it.resolutions) for it in (good, bad)])
    # Building is asked for twice, and goes on the second time.
    assert set(map(tuple, built)) == {(24,)}
    assert together.table(good).device == "host"
    alone = Devices(tmp_path / "alone", rounds=1)
    alone.build_tables([(bad, space, bad.resolutions)])
    with pytest.raises(InputError, match="25 is not one of them"):
        alone.table(bad)


def test_an_error_of_the_program_costs_only_its_own_table(built, tmp_path):
    """It is told where the table is asked for, with its whole story in a file."""
    space = spaces.get("ofa_tiny")
    broken, good = target("broken", precision="float32"), target("good")
    devices = Devices(tmp_path, rounds=1)
    devices.build_tables([(it, space, (24,)) for it in (broken, good)])
    assert devices.table(good).precision == "int8"
    with pytest.raises(OfaError, match="an error of the program, ZeroDivisionError: nobody thought of it"):
        devices.table(broken)
    [story] = tmp_path.glob("*.error.txt")
    assert "Traceback" in story.read_text()


def test_a_device_that_is_not_here_and_has_no_table(tmp_path):
    """Protects from a message about a file that the user never named."""
    with pytest.raises(InputError, match="device board: is not here, and no latency_table is given"):
        Devices(tmp_path, rounds=1).table(target("board", "board"))


@pytest.mark.parametrize("hot", [False, True])
def test_what_was_measured_hot_is_said(monkeypatch, capsys, tmp_path, hot):
    """The figure counts, as a cool phone is only faster."""
    state = str(Reading(2, 45.5))
    measured = Measurement("fast", BlockLatency(1.0, 1.4, 0.1, 50), hot=hot, attempts=3, state=state)

    class Session:
        def measure(self, models):
            return [measured for _ in models]

    monkeypatch.setattr(
        device_measuring.device_flags, "open_device", lambda serial, **options: contextlib.nullcontext(Session())
    )
    assert Devices(tmp_path, rounds=1).measure(target("fast", "SERIAL"), tmp_path / "model.tflite") == 1.0
    assert ("fast: measured hot (battery 45.5 C, thermal status 2)" in capsys.readouterr().err) == hot
