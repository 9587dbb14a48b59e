"""Sessions on a phone with each fault: measured in the end, or told, nothing measured lost, nothing left behind."""

import threading

import pytest

from ofa_tf.devices.connection import LostError, UnavailableError


@pytest.mark.parametrize("fault", ["killed_runs", "garbled_runs", "partial_runs"])
def test_failed_runs_are_repeated_then_told(phone, session, model, fault, tmp_path):
    """One bad run costs a repetition; a model that always fails has an error and a log, and costs no other model."""
    with session() as opened:
        setattr(phone.faults, fault, 1)
        measured = opened.measure([("first", model), ("second", model)])
        assert [(it.error, it.attempts) for it in measured] == [("", 2), ("", 1)]
        assert phone.models_run() == ["first", "second", "first"]
        setattr(phone.faults, fault, 2)
        [measurement] = opened.measure([("third", model)])
    assert measurement.latency is None
    assert measurement.error
    assert "\n" not in measurement.error
    logs = [path.read_text() for path in (tmp_path / "logs").iterdir()]
    assert any("model third" in log and "STARTING!" in log for log in logs)
    assert phone.files() == []


def test_a_log_that_cannot_be_written_costs_no_other_model(session, model, tmp_path):
    """The model's error says which flag gives it another place."""
    (tmp_path / "logs").touch()
    with session() as opened:
        bad, good = opened.measure([("bad", b"no model"), ("good", model)])
    assert good.error == ""
    assert "exit code 1" in bad.error
    assert "its output is lost: --log_folder: " in bad.error
    assert "\n" not in bad.error


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
    assert len(phone.models_run()) <= 13
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

    with pytest.raises(LostError, match="did not come back within 1 s"), session(patience_seconds=1.0) as opened:
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
        with pytest.raises(UnavailableError, match=r"no room for .*batch\.tar"):
            opened.measure([("block", model)])
    assert phone.files() == []


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
