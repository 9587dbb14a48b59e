"""Sessions on a phone through the real adb: what is measured and sent, what each fault does, what is left behind."""

import subprocess
import sys
import threading
import time

import keras
import pytest

from mobile_bench.adb_device import AdbError
from mobile_bench.benchmark_binary import find_binary
from mobile_bench.benchmark_options import BenchmarkOptions
from mobile_bench.phone import Phone
from ofa_tf import deploy
from ofa_tf.common import InputError
from tests.phone.loopback_phone import LoopbackPhone

FAST = BenchmarkOptions(runs=5, min_seconds=0.002, warmup_seconds=0.001, max_seconds=2.0, cooling_seconds=4)


@pytest.fixture(scope="module", name="model")
def _model():
    inputs = keras.Input((8, 8, 4))
    return deploy.convert(keras.Model(inputs, keras.layers.Conv2D(4, 3, activation="relu")(inputs)), "float32")


@pytest.fixture(name="binary")
def _binary(phone, tmp_path):
    return find_binary(phone.abi, phone.write_tool(tmp_path / "the tool"))


@pytest.fixture(name="session")
def _session(device, binary, tmp_path):
    """Opens sessions, and keeps their notes."""

    def opened(options=FAST, **arguments):
        return Phone(device, binary, options, log_folder=tmp_path / "logs", on_note=notes.append, **arguments)

    notes = opened.notes = []
    return opened


def ran(phone):
    """The models that the tool ran, in order."""
    graphs = [argument for run in phone.tool_runs for argument in run if argument.startswith("--graph=")]
    return [graph.removeprefix("--graph=")[len("0000 ") :] for graph in graphs]


def test_models_are_measured_in_one_batch(phone, session, model):
    """One run of the tool for each, on the chosen cores, with the options asked for; nothing stays behind."""
    results = []
    with session(BenchmarkOptions(runs=20, min_seconds=0.01, warmup_seconds=0.001, threads=2)) as opened:
        measured = opened.measure([(f"block {index}", model) for index in range(5)], results.append)
        assert opened.describe()["core mask"] == "70"
    assert [measurement.name for measurement in measured] == [f"block {index}" for index in range(5)]
    assert measured == results
    assert all(measurement.output.count >= 20 and measurement.output.median_ms > 0 for measurement in measured)
    assert all(not measurement.error and not measurement.hot and measurement.attempts == 1 for measurement in measured)
    assert measured[0].before.battery_celsius == 28.5
    assert measured[0].block_latency().median_ms == measured[0].output.median_ms
    assert phone.masks() == ["70"] * 5
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
    assert ran(phone) == [name.replace("/", "_") for name in NAMES]
    assert not list(phone.root.rglob("pwned"))


def test_litert_2_and_old_tools(phone, session, model):
    """Each is asked in its own options and read in its own form."""
    for style, option in (("litert", "--use_cpu=true"), ("old", "--use_xnnpack=true")):
        phone.faults.style = style
        with session() as opened:
            [measurement] = opened.measure([("block", model)])
        assert measurement.error == ""
        assert (measurement.output.median_ms is None) == (style == "old")
        assert measurement.block_latency().median_ms > 0
        assert option in phone.tool_runs[-1]


def test_operations_are_timed_where_asked_for(session, model):
    with session(BenchmarkOptions(runs=3, min_seconds=0.0, profile=True)) as opened:
        [measurement] = opened.measure([("block", model)])
    assert [operation.node_type for operation in measurement.operations] == ["CONV_2D"]
    assert measurement.operations[0].mean_ms == pytest.approx(measurement.output.mean_ms, abs=1e-3)


def test_a_delegate_that_is_not_used_is_no_measurement(phone, session, model):
    with session(BenchmarkOptions(delegate="gpu", runs=2, min_seconds=0.0)) as opened:
        [measurement] = opened.measure([("block", model)])
    assert measurement.output is None
    assert "--delegate=gpu was not used" in measurement.error
    assert measurement.attempts == 1
    assert phone.masks() == []


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
        Phone(device, binary, FAST).__enter__()
    assert phone.files() == []


@pytest.mark.parametrize("fault", ["killed_runs", "garbled_runs", "partial_runs"])
def test_failed_runs_are_repeated_then_told(phone, session, model, fault, tmp_path):
    """One bad run costs a repetition; a model that always fails has an error and a log, and costs no other model."""
    with session() as opened:
        setattr(phone.faults, fault, 1)
        measured = opened.measure([("first", model), ("second", model)])
        assert [(it.error, it.attempts) for it in measured] == [("", 2), ("", 1)]
        assert ran(phone) == ["first", "second", "first"]
        setattr(phone.faults, fault, 2)
        [measurement] = opened.measure([("third", model)])
    assert measurement.output is None
    assert measurement.error
    assert "\n" not in measurement.error
    logs = [path.read_text() for path in (tmp_path / "logs").iterdir()]
    assert any("model third" in log and "STARTING!" in log for log in logs)
    assert phone.files() == []


def test_one_model_that_kills_the_tool(phone, session, model):
    phone.faults.killed_model = "bad"
    with session() as opened:
        measured = opened.measure([("good", model), ("bad", model), ("fine", model)])
    assert [bool(measurement.error) for measurement in measured] == [False, True, False]
    assert "exit code 137" in measured[1].error


def test_no_model_at_all(session):
    """A file that the phone cannot read is told, too."""
    with session() as opened:
        assert opened.measure([]) == []
        [measurement] = opened.measure([("broken", b"no model")])
    assert "ended with exit code 1" in measurement.error


@pytest.mark.parametrize("direction", ["drop_after", "drop_after_sent"])
def test_a_broken_connection_is_mended(phone, session, model, direction):
    """What was measured before is kept and not measured again; the rest follows once the phone is back."""
    results = []
    models = [(f"block {index}", model) for index in range(12)]
    with session() as opened:
        setattr(phone.faults, direction, 9_000 if direction == "drop_after_sent" else len(model) * 6)
        measured = opened.measure(models, results.append)
    assert getattr(phone.faults, direction) is None
    assert [it.error for it in measured] == [""] * 12
    assert sorted(it.name for it in results) == sorted(name for name, _ in models)
    assert len(ran(phone)) <= 13
    assert any("connection broke" in note or "pushed" in note or "arrived" in note for note in session.notes)
    assert phone.files() == []
    assert phone.is_idle()


@pytest.mark.parametrize("fault", ["leaves", "freezes"])
def test_a_phone_that_comes_back(phone, session, model, fault):
    """Under its serial, or to its senses: the session goes on where it was."""
    results = []

    def away():
        phone.faults.frozen = fault == "freezes"
        if fault == "leaves":
            phone.leave()

    def back():
        phone.faults.frozen = False
        if fault == "leaves":
            phone.come_back()

    def on_result(measurement):
        results.append(measurement.name)
        if len(results) == 2:
            away()
            threading.Timer(1.5, back).start()

    models = [(f"block {index}", model) for index in range(8)]
    with session(silent_seconds=1.0, patience_seconds=20.0) as opened:
        measured = opened.measure(models, on_result)
    assert [it.error for it in measured] == [""] * 8
    assert sorted(results) == [name for name, _ in models]
    assert any("waiting for it" in note for note in session.notes)
    assert phone.files() == []
    assert phone.is_idle()


def test_a_phone_that_leaves_for_good(phone, session, model):
    """One error; what was measured has been handed on."""
    results = []

    def leave_after_two(measurement):
        results.append(measurement)
        if len(results) == 2:
            phone.leave()

    with pytest.raises(AdbError, match="did not come back within 1 s"), session(patience_seconds=1.0) as opened:
        opened.measure([(f"block {index}", model) for index in range(50)], leave_after_two)
    assert 2 <= len(results) < 50
    assert "may be left on it" in session.notes[-1]


def test_what_a_lost_session_left_is_removed_by_the_next(phone, session, device, model):
    device.shell(
        "mkdir -p /data/local/tmp/ofa_tf/batch && cd /data/local/tmp/ofa_tf/batch && touch x && (sleep 100 >&- 2>&- &)"
    )
    assert list(phone.processes().values()) == ["sleep 100"]
    with session() as opened:
        assert opened.measure([("block", model)])[0].error == ""
    assert phone.is_idle()
    assert phone.files() == []


def test_a_tool_that_hangs(phone, session, model):
    """It is ended, on the phone too, and run again; a model that always hangs is given up."""
    phone.faults.hanging_runs = 1
    with session(silent_seconds=0.6) as opened:
        assert [it.error for it in opened.measure([("first", model), ("second", model)])] == ["", ""]
        phone.faults.hanging_runs = 3
        measured = opened.measure([("third", model), ("fourth", model)])
    assert [bool(it.error) for it in measured] == [True, False]
    assert "silent for" in measured[0].error
    assert phone.is_idle()
    assert phone.files() == []


def test_a_full_disk(phone, session, model):
    """The message says so, and the phone is left clean."""
    with session() as opened:
        phone.faults.room_bytes = 1000
        with pytest.raises(InputError, match=r"no room for .*batch\.tar"):
            opened.measure([("block", model)])
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
    assert measurement.before.battery_celsius == 45.5


def test_the_coolest_of_hot_runs_counts(phone, session, model):
    phone.set_readings(battery_tenths=[300, 300, 450, 300, 420, 300, 440])
    with session(BenchmarkOptions(runs=2, min_seconds=0.0, cooling_seconds=0, hot_attempts=3)) as opened:
        [measurement] = opened.measure([("block", model)])
    assert (measurement.hot, measurement.attempts, measurement.after.battery_celsius) == (True, 3, 42.0)


def test_a_script_that_is_killed(phone, session, model):
    """Whatever ends it, no model is forgotten, and none is waited for for ever."""
    results = []

    def kill_after_two(measurement):
        results.append(measurement.name)
        if len(results) == 2:
            phone.kill("is_hot()")

    with session() as opened:
        measured = opened.measure([(f"block {index}", model) for index in range(6)], kill_after_two)
    assert [it.error for it in measured] == [""] * 6
    assert sorted(results) == [f"block {index}" for index in range(6)]
    assert any("was ended" in note for note in session.notes)
    assert phone.is_idle()


def test_a_slow_first_run_is_warm_up(phone, session, model):
    phone.faults.slow_first_seconds = 0.3
    with session() as opened:
        [measurement] = opened.measure([("block", model)])
    assert measurement.output.max_ms < 250


def test_a_governor_that_varies_is_warned_of(phone, session):
    phone.set_governor("schedutil")
    with session() as opened:
        assert opened.describe()["governor"] == "schedutil"
    assert "governor is schedutil, not performance" in session.notes[0]


def test_two_processes_do_not_measure_on_one_phone(phone, device, session):
    code = (
        "import sys, time; from mobile_bench.phone_lock import PhoneLock\n"
        "PhoneLock(sys.argv[1]).acquire(); print('held', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, device.serial], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "held\n"
    with pytest.raises(InputError, match="another process measures on it"), session():
        pass
    other.kill()
    other.communicate()
    with session():
        pass


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
        with session() as first, Phone(adb_server.adb.device(other.serial), its_tool, FAST) as second:
            assert first.measure([("block", model)])[0].error == ""
            assert second.measure([("block", model)])[0].error == ""
            assert second.facts.model == "Loopback Galaxy 0"
        assert other.files() == []
