"""Blocks and networks as files with random weights, kept; and their form, chosen by measurement."""

import inspect
import math
import types

import pytest

from ofa_tf.common import InputError, OfaError
from ofa_tf.deploy import Runner
from ofa_tf.devices import BenchmarkOptions
from ofa_tf.devices import block_models as module
from ofa_tf.devices.block_models import ModelCache, fastest_form, model_bytes
from ofa_tf.devices.host import Host

FORMS = ("fused", "split", "folded-rows")


@pytest.mark.parametrize(("precision", "inner"), [("float32", "float32"), ("int8", "int8")])
def test_blocks_have_the_borders_of_exported_networks(space, precision, inner):
    """Protects predictions: what a network converts at its borders is measured once, with the stem and the head."""
    blocks = space.blocks(space.smallest())
    stem, inside, head = (Runner(model_bytes([block], precision)) for block in (blocks[0], blocks[1], blocks[-1]))
    logits = "uint8" if precision == "int8" else "float32"
    assert (stem.input_type, stem.output_type) == ("uint8", inner)
    assert (inside.input_type, inside.output_type) == (inner, inner)
    assert (head.input_type, head.output_type) == (inner, logits)
    assert not {"QUANTIZE", "DEQUANTIZE", "CAST"} & set(inside.operations)


def test_whole_int8_networks_stay_in_one_partition(space):
    """Protects verification: random weights must not make XNNPACK refuse what it takes of trained ones."""
    assert Runner(model_bytes(space.blocks(space.largest()), "int8")).partitions == 1


def test_kept_files_belong_to_all_the_code_that_makes_them():
    """Protects tables from blocks that an older version wrote: whatever that code takes from elsewhere counts, too."""
    taken = {
        inspect.getmodule(value).__name__
        for code in module._CODE
        for value in vars(code).values()
        if inspect.isfunction(value) or inspect.isclass(value)
    }
    rooms = tuple(f"ofa_tf.{room}." for room in ("deploy", "networks", "spaces"))
    lacking = {name for name in taken if name.startswith(rooms)} - {code.__name__ for code in module._CODE}
    # They say which blocks there are; what a block is goes into a file's name.
    assert lacking == {"ofa_tf.spaces.arch", "ofa_tf.spaces.space"}


def test_a_cache_that_cannot_be_written_is_told(space, tmp_path):
    """Protects a build on a machine whose home is not writable."""
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file: cannot be written .*OFA_TF_CACHE"):
        ModelCache(tmp_path / "file").file(space.blocks(space.smallest())[:1], "int8", form="fused")


@pytest.fixture
def files(monkeypatch):
    """Files are named after their form, but "split" is the same as "fused"."""
    made = []

    def model_bytes(blocks, precision, *, form, seed):
        made.append((blocks, form))
        return form.replace("split", "fused").encode()

    monkeypatch.setattr(module, "model_bytes", model_bytes)
    return made


def test_the_fastest_is_taken_where_it_is_clearly_faster(space, files):
    """Each different file is measured once; 2% are chance, and the usual form stays."""
    asked = []

    def times(*times_ms):
        return types.SimpleNamespace(compare=lambda models: (asked.append(list(models)), times_ms)[1])

    assert fastest_form(space, "int8", times(0.5, 1.0), forms=FORMS) == (
        "fused",
        {"fused": 0.5, "split": 0.5, "folded-rows": 1.0},
    )
    assert asked == [[b"fused", b"folded-rows"]]
    assert fastest_form(space, "int8", times(0.99, 1.0), forms=FORMS)[0] == "folded-rows"
    assert fastest_form(space, "int8", times(1.0, math.inf), forms=FORMS)[0] == "fused"
    assert fastest_form(space, "float32", times(1.0, 2.0), forms=FORMS)[0] == "fused"
    with pytest.raises(OfaError, match="in none of the forms fused, split, folded-rows"):
        fastest_form(space, "int8", times(math.inf, math.inf), forms=FORMS)


def test_the_network_has_the_largest_kernels(files):
    """Forms differ in how those are written."""
    from ofa_tf import spaces

    fastest_form(
        spaces.get("ofa_tiny"), "int8", types.SimpleNamespace(compare=lambda models: [1.0] * len(models)), forms=FORMS
    )
    assert {block.kernel_size for block in files[0][0][2:-1]} == {7}


def test_this_machine_measures_files_and_bytes(model, tmp_path):
    """As every device does; a file that cannot be run is told before anything is measured."""
    (tmp_path / "model.tflite").write_bytes(model)
    results = []
    device = Host(BenchmarkOptions(runs=5, min_seconds=0.0))
    measured = device.measure([("bytes", model), ("file", tmp_path / "model.tflite")], results.append)
    assert measured == results
    assert [it.name for it in measured] == ["bytes", "file"]
    assert all(it.latency.count >= 5 and it.latency.median_ms > 0 for it in measured)
    with pytest.raises(OfaError):
        device.measure([("good", model), ("bad", b"no model")], results.append)
    assert len(results) == 2


def test_times_on_this_machine_and_on_a_phone(session, model):
    """One for each, in order; infinite for what cannot be run, of which a note says why."""
    notes = []
    bad, *good = Host(on_note=notes.append).compare([b"no model", model, model], rounds=2)
    assert len(good) == 2
    assert all(0 < time_ms < 100 for time_ms in good)
    assert bad == math.inf
    [note] = notes
    assert note.startswith("host: network 1 of 3 cannot be run: model in memory: not a whole TFLite model")
    assert Host().compare([b"no model"]) == [math.inf]
    with session() as opened:
        good, bad = opened.compare([model, b"no model"], rounds=2)
    assert 0 < good < 100
    assert bad == math.inf
    [note] = session.notes
    assert note.startswith(f"phone {opened.name}: network 2 of 2 cannot be run: benchmark_model ended with exit code 1")


def test_times_on_a_hot_phone_are_told(phone, session, model):
    """Protects the choice of a form, and a correction: both are made of these times."""
    phone.set_readings(battery_tenths=[455])
    hot = []
    with session(BenchmarkOptions(runs=2, min_seconds=0.0, cooling_seconds=0, hot_attempts=1)) as opened:
        assert len(opened.compare([model, model], rounds=1, on_hot=hot.append)) == 2
    assert hot == [0, 1]
    assert f"phone {opened.name}: 2 of 2 networks were measured hot; cool, they may be faster" in session.notes
