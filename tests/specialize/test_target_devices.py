"""Tables and measurements for targets: what one target asks for, or breaks, costs no other its table."""

import contextlib
import dataclasses
import types

import pytest

from ofa_tf import devices as measured_on
from ofa_tf import spaces
from ofa_tf.common import InputError, OfaError
from ofa_tf.devices import Measurement
from ofa_tf.devices.host import Host
from ofa_tf.devices.phone_facts import Reading
from ofa_tf.predictors import BlockLatency, LatencyTable
from ofa_tf.specialize import Target, TargetDevices
from ofa_tf.specialize.target_devices import other_files


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

    monkeypatch.setattr(Host, "build_table", build_table)
    monkeypatch.setattr("ofa_tf.devices.verification.verify_table", verify_table)
    return sides


def test_an_image_side_that_does_not_exist_costs_no_other_target_its_table(built, tmp_path):
    """The others' sides are measured; alone, the mistake is told."""
    space = spaces.get("ofa_tiny")
    good, bad = target("good", resolutions=(24,)), target("bad", resolutions=(25,))
    together = TargetDevices(tmp_path / "together")
    together.build_tables([(it, space, it.resolutions) for it in (good, bad)])
    # Building is asked for twice, and resumes the second time.
    assert set(map(tuple, built)) == {(24,)}
    assert together.table(good).device == "host"
    alone = TargetDevices(tmp_path / "alone")
    alone.build_tables([(bad, space, bad.resolutions)])
    with pytest.raises(InputError, match="25 is not one of them"):
        alone.table(bad)


def test_an_error_of_the_program_costs_only_its_own_table(built, tmp_path):
    """It is told where the table is asked for, with its whole story in a file."""
    space = spaces.get("ofa_tiny")
    broken, good = target("broken", precision="float32"), target("good")
    bench = TargetDevices(tmp_path)
    bench.build_tables([(it, space, (24,)) for it in (broken, good)])
    assert bench.table(good).precision == "int8"
    with pytest.raises(OfaError, match="an error of the program, ZeroDivisionError: nobody thought of it"):
        bench.table(broken)
    [story] = tmp_path.glob("*.error.txt")
    assert "Traceback" in story.read_text()


def test_a_device_that_is_not_here_and_has_no_table(tmp_path):
    """Protects from a message about a file that the user never named."""
    with pytest.raises(InputError, match="device board: is not here, and no latency_table is given"):
        TargetDevices(tmp_path).table(target("board", "board"))


def answering(*measurements):
    """A device that answers with these, one after the other, for each model that it is given."""
    device = types.SimpleNamespace(measure=lambda models: [measurements[index] for index, _ in enumerate(models)])
    return lambda name, options, settings: contextlib.nullcontext(device)


@pytest.mark.parametrize("hot", [False, True])
def test_what_was_measured_hot_is_said(monkeypatch, tmp_path, hot):
    """The figure counts, as a cool phone is only faster."""
    state, told = str(Reading(2, 45.5)), []
    found = Measurement("fast", BlockLatency(1.0, 1.4, 0.1, 50), hot=hot, attempts=3, state=state)
    monkeypatch.setattr(measured_on, "open", answering(found))
    bench = TargetDevices(tmp_path, say=told.append)
    assert bench.measure_ms(target("fast", "SERIAL"), tmp_path / "model.tflite") == 1.0
    assert (
        "    fast: measured hot (battery 45.5 C, thermal status 2); it may be faster on a cool phone" in told
    ) == hot


def test_a_table_of_other_files_is_told_once(tmp_path):
    """Its predictions count, as nothing else is known, but not without a word; of its own kind nothing is said."""
    told, path = [], tmp_path / "table.json"
    LatencyTable("phone", "int8", 2, "folded-rows").save(path)
    bench = TargetDevices(tmp_path, say=told.append)
    same = target("same", latency_table=str(path), threads=2)
    others = [target("others", latency_table=str(path), threads=1), dataclasses.replace(same, name="f", form="fused")]
    assert [bench.table(it).device for it in (same, *others, *others)] == ["phone"] * 5
    assert [text.split(":")[0] for text in told] == ["target others", "target f"]
    assert f"{path} counts as a table of threads 2, not 1" in told[0]
    assert "form folded-rows, not fused" in told[1]


def test_a_file_is_written_as_those_of_its_table():
    """So that what is predicted is what is exported; the target's own word counts more, another precision's less."""
    table = LatencyTable("phone", "int8", 1, "split-rows")
    assert target("a").file_form(table) == "split-rows"
    assert target("a", form="fused").file_form(table) == "fused"
    assert target("a", precision="float32").file_form(table) == "fused-rows"
    assert target("a").file_form() == "folded-rows"
    assert target("a").file_form(dataclasses.replace(table, form="hard-swish")) == "folded-rows"
    fused = dataclasses.replace(table, form="fused")
    assert target("a").file_form(fused) == "fused"
    assert target("a", quantization_aware_epochs=1).file_form(fused) == "folded", "fused cannot be trained"
    published = dataclasses.replace(fused, versions={"method": "published table, means"})
    assert target("a").file_form(published) == "folded-rows", "nobody knows how those were written"
    assert other_files(published, target("a")) == []
    assert other_files(table, target("a"), "folded-rows") == ["form split-rows, not folded-rows"]


def test_what_measures_on_phones_is_nothing_to_this_machine(monkeypatch, tmp_path):
    """One command has targets of both: this machine refuses what chooses the phones' delegate and benchmark_model."""
    asked, found = [], [Measurement("m", BlockLatency(1.0, None, 0.1, 50))] * 3

    def opened(name, options, settings):
        asked.append((name, options.delegate, settings.benchmark_binary, settings.litert_version))
        return answering(*found)(name, options, settings)

    monkeypatch.setattr(measured_on, "open", opened)
    settings = measured_on.Settings(benchmark_binary="tool", litert_version="2.1.5")
    bench = TargetDevices(tmp_path, settings=settings, options=measured_on.BenchmarkOptions(delegate="gpu"))
    for device in ("host", "SERIAL"):
        bench.measure_ms(target("m", device), tmp_path / "model.tflite")
    assert asked == [("host", "xnnpack", None, None), ("SERIAL", "gpu", "tool", "2.1.5")]


def test_one_busy_moment_of_this_machine_does_not_decide(monkeypatch, tmp_path):
    """The median of three counts; what cannot be measured is an error of the device, not of the target."""
    found = [Measurement("m", BlockLatency(median_ms, None, 0.1, 50)) for median_ms in (1.0, 9.0, 1.1)]
    monkeypatch.setattr(measured_on, "open", answering(*found))
    bench = TargetDevices(tmp_path)
    assert bench.measure_ms(target("m"), tmp_path / "model.tflite") == 1.1
    monkeypatch.setattr(measured_on, "open", answering(*found[:2], Measurement("m", None, "no room")))
    with pytest.raises(OfaError, match="host: no room"):
        bench.measure_ms(target("m"), tmp_path / "model.tflite")
