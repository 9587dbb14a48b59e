"""Sessions on a phone through the real adb: what is sent, measured and told, and what a hot phone does."""

import os
import pathlib
import time

import pytest

from ofa_tf.common import InputError
from ofa_tf.devices.benchmark_model import BenchmarkOptions, find_binary
from ofa_tf.devices.phone import Phone
from tests.phone.loopback_phone import LoopbackPhone


def test_models_are_measured_in_one_batch(phone, session, model):
    """One run of the tool for each, on the chosen cores, with the options asked for; nothing stays behind."""
    results = []
    with session(BenchmarkOptions(runs=20, min_seconds=0.01, warmup_seconds=0.001, threads=2)) as opened:
        measured = opened.measure([(f"block {index}", model) for index in range(5)], results.append)
        assert opened.describe()["core mask"] == "70"
    assert [measurement.name for measurement in measured] == [f"block {index}" for index in range(5)]
    assert measured == results
    assert all(measurement.latency.count >= 20 and measurement.latency.median_ms > 0 for measurement in measured)
    assert all(not measurement.error and not measurement.hot and measurement.attempts == 1 for measurement in measured)
    assert measured[0].facts["battery_celsius"] == 28.5
    assert measured[0].latency.median_ms == measured[0].facts["median_ms"]
    # Once more, before: whether the phone lets it.
    assert phone.masks() == ["70"] * 6
    assert {"--num_runs=20", "--min_secs=0.01", "--num_threads=2", "--use_xnnpack=true"} <= set(phone.tool_runs[-1])
    assert phone.files() == []
    assert phone.is_idle()
    assert session.notes == []


NAMES = (
    "a b",
    "it's",
    'say "hi"',
    "$(touch pwned)",
    "`touch pwned`",
    "a;touch pwned",
    "--help",
    "ä★",
    "x/../y",
    "a\nb",
    "\\n",
)


def test_names_are_run_literally(phone, session, model):
    with session() as opened:
        measured = opened.measure([(name, model) for name in NAMES])
    assert [measurement.error for measurement in measured] == [""] * len(NAMES)
    assert phone.models_run() == [name.replace("/", "_") for name in NAMES]
    assert not list(phone.root.rglob("pwned"))


def test_names_that_are_not_utf_8(phone, session, model, tmp_path):
    """As files here may have them: measured, and told where they cannot be; the script for the phone is UTF-8."""
    good, bad = (str(tmp_path / os.fsdecode(name)) for name in (b"caf\xe9.tflite", b"caf\xe9 that is none"))
    pathlib.Path(good).write_bytes(model)
    with session() as opened:
        measured = opened.measure([(good, pathlib.Path(good)), (bad, b"no model")])
    assert [(it.name, bool(it.error)) for it in measured] == [(good, False), (bad, True)]
    assert phone.models_run()[0].endswith("_caf.tflite")
    [log, _] = (tmp_path / "logs").iterdir()
    assert "caf\\udce9 that is none" in log.read_text()


def test_litert_2_and_old_tools(phone, session, model):
    """Each is asked in its own options and read in its own form."""
    for style, option in (("litert", "--use_cpu=true"), ("old", "--use_xnnpack=true")):
        phone.faults.style = style
        with session() as opened:
            [measurement] = opened.measure([("block", model)])
        assert measurement.error == ""
        assert (measurement.facts["median_ms"] is None) == (style == "old")
        assert measurement.latency.median_ms > 0
        assert option in phone.tool_runs[-1]


def test_operations_are_timed_where_asked_for(session, model):
    with session(BenchmarkOptions(runs=3, min_seconds=0.0, profile=True)) as opened:
        [measurement] = opened.measure([("block", model)])
    assert [operation.node_type for operation in measurement.operations] == ["CONV_2D"]
    assert measurement.operations[0].mean_ms == pytest.approx(measurement.facts["mean_ms"], abs=1e-3)


def test_a_delegate_that_is_not_used_is_no_measurement(phone, session, model):
    with session(BenchmarkOptions(delegate="gpu", runs=2, min_seconds=0.0)) as opened:
        [measurement] = opened.measure([("block", model)])
    assert measurement.latency is None
    assert "--delegate=gpu was not used" in measurement.error
    assert measurement.attempts == 1
    assert phone.masks() == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"delegate": "tpu"}, "--delegate='tpu' is unknown"),
        ({"min_seconds": 100.0}, "--seconds=100: expected from 0 to 60"),
        ({"min_seconds": float("nan")}, "--seconds=nan: expected from 0"),
        ({"hot_celsius": float("inf")}, "--hot_celsius=inf: expected a temperature"),
        ({"hot_celsius": float("nan")}, "--hot_celsius=nan: expected a temperature"),
    ],
)
def test_options_that_cannot_be_kept_to(fields, said):
    """One line before anything is pushed; a script for the phone could not be written with them."""
    with pytest.raises(InputError, match=said):
        BenchmarkOptions(**fields)


def test_options_that_the_tool_does_not_know(phone, session):
    phone.faults.style = "litert"
    with (
        pytest.raises(InputError, match="this one has no option --use_nnapi"),
        session(BenchmarkOptions(delegate="nnapi")),
    ):
        pass
    phone.faults.unknown_options = ("max_secs", "warmup_min_secs", "num_threads")
    with pytest.raises(InputError, match="this one has no option --num_threads"), session():
        pass
    assert phone.files() == []


def test_options_that_the_tool_passes_over(phone, session, model):
    """It only warns, and measures something else; what was measured before is kept."""
    results = []
    with session() as opened:
        opened.measure([("first", model)], results.append)
        phone.faults.unknown_options = ("num_threads",)
        with pytest.raises(InputError, match=r"the tool does not know --num_threads=1, which .* give another --bench"):
            opened.measure([("second", model), ("third", model)], results.append)
    assert [measurement.name for measurement in results] == ["first"]
    assert phone.files() == []


def test_models_as_files(session, model, tmp_path):
    (tmp_path / "my $model.tflite").write_bytes(model)
    with session() as opened:
        [measurement] = opened.measure([("file", tmp_path / "my $model.tflite")])
        assert measurement.error == ""
        with pytest.raises(InputError, match="missing: cannot be read"):
            opened.measure([("no file", tmp_path / "missing")])


def test_a_tool_for_another_abi(phone, device, tmp_path):
    binary = find_binary("arm64-v8a", phone.write_tool(tmp_path / "tool", abi="armeabi-v7a"))
    with pytest.raises(InputError, match=r"does not run on phone .*not executable: 64-bit ELF file.*for arm64-v8a"):
        Phone(device, binary, BenchmarkOptions()).__enter__()
    assert phone.files() == []


def test_hot_phones_cool_down_and_hot_models_run_again(phone, session, model):
    phone.set_readings(thermal_status=[0, 2, 0, 0], battery_tenths=[350])
    with session() as opened:
        # The session's own look at the phone was the first reading; before the model it is hot, then cool, then cool.
        [measurement] = opened.measure([("block", model)])
        assert (measurement.hot, measurement.attempts) == (False, 1)
        assert "cools down (battery 35.0 C, thermal status 2, 0 s so far)" in session.notes[0]
        # Cool before, hot after: again.
        phone.set_readings(thermal_status=[0, 1, 0, 0, 0])
        [measurement] = opened.measure([("block", model)])
        assert (measurement.hot, measurement.attempts) == (False, 2)


def test_a_phone_that_stays_hot(phone, session, model):
    """Limits of waiting and of repeating; then it is measured as it is, and said to be hot."""
    phone.set_readings(battery_tenths=[455])
    with session(BenchmarkOptions(runs=2, min_seconds=0.0, cooling_seconds=1, hot_attempts=2)) as opened:
        [measurement] = opened.measure([("block", model)])
    assert (measurement.hot, measurement.attempts, measurement.error) == (True, 2, "")
    assert measurement.facts["battery_celsius"] == 45.5


def test_the_coolest_of_hot_runs_counts(phone, session, model):
    phone.set_readings(battery_tenths=[300, 300, 450, 300, 420, 300, 440])
    with session(BenchmarkOptions(runs=2, min_seconds=0.0, cooling_seconds=0, hot_attempts=3)) as opened:
        [measurement] = opened.measure([("block", model)])
    assert (measurement.hot, measurement.attempts, measurement.facts["battery_celsius"]) == (True, 3, 42.0)


def test_a_slow_first_run_is_warm_up(phone, session, model):
    phone.faults.slow_first_seconds = 0.3
    with session() as opened:
        [measurement] = opened.measure([("block", model)])
    assert measurement.facts["max_ms"] < 250


def test_a_governor_that_varies_is_warned_of(phone, session):
    phone.set_governor("schedutil")
    with session() as opened:
        assert opened.describe()["governor"] == "schedutil"
    assert "governor is schedutil, not performance" in session.notes[0]


def test_cores_that_are_switched_off_are_told(phone, session, model):
    """Their frequencies are not known, and the times will not be theirs: a note, and the table's facts say so."""
    phone.switch_cores((4, 5, 6, 7), on=False)
    with session() as opened:
        assert opened.describe()["cores"] == "4 x 1.80 GHz, 4 of 8 switched off"
        assert opened.measure([("block", model)])[0].error == ""
    assert phone.masks()[-1] == "f"
    assert "4 of its 8 cores are switched off; the times will be those of the others" in session.notes[0]
    phone.switch_cores((4, 5, 6, 7), on=True)
    with session() as opened:
        assert opened.describe()["cores"].endswith("1 x 3.00 GHz")


@pytest.mark.parametrize(
    "script",
    [
        'echo "taskset: failed to set pid $$\'s affinity: Invalid argument" >&2; exit 1',
        "echo 'sh: taskset: inaccessible or not found' >&2; exit 127",
    ],
)
def test_without_taskset_models_are_measured_on_any_core(phone, session, model, script):
    """Which the note names with the mask and what was said, and the table as its core mask."""
    phone.replace_program("taskset", script)
    with session() as opened:
        assert opened.measure([("block", model)])[0].error == ""
        assert opened.describe()["core mask"] == "all"
    assert "taskset does not give it the cores 80 (" in session.notes[0]
    assert ("Invalid argument" in session.notes[0]) != ("not found" in session.notes[0])


def test_times_of_zero_are_told(phone, session, model):
    """Once a session, and with each model: the mean is taken for the median."""
    phone.faults.coarse_clock = True
    with session() as opened:
        measured = opened.measure([("first", model), ("second", model)])
    assert all(it.error == "" and it.facts["below_clock"] for it in measured)
    assert all(it.latency.median_ms == it.facts["mean_ms"] > 0 for it in measured)
    assert [note for note in session.notes if "took 0 us by benchmark_model's clock" in note] == session.notes[:1]
    phone.faults.coarse_clock = False
    with session() as opened:
        assert not opened.measure([("third", model)])[0].facts["below_clock"]


def test_overhead_of_a_batch(phone, session, model):
    """A block costs little besides its benchmark: far less than the second that a round trip with pushes would."""
    with session(BenchmarkOptions(runs=1, min_seconds=0.0, warmup_seconds=0.0)) as opened:
        start = time.perf_counter()
        opened.measure([(f"block {index}", model) for index in range(30)])
        seconds = (time.perf_counter() - start) / 30
    assert seconds < 1.0, f"{seconds:.3f} s a block"


def test_phones_side_by_side(adb_server, phone, binary, session, model, tmp_path):
    """Each has its own serial, lock and folder."""
    with LoopbackPhone("Galaxy 0") as other, adb_server.connected(other):
        its_tool = find_binary(other.abi, other.write_tool(tmp_path / "its tool"))
        with (
            session() as first,
            Phone(adb_server.adb.device(other.serial), its_tool, BenchmarkOptions(runs=5, min_seconds=0.0)) as second,
        ):
            assert first.measure([("block", model)])[0].error == ""
            assert second.measure([("block", model)])[0].error == ""
            assert second.facts.model == "Loopback Galaxy 0"
        assert other.files() == []
