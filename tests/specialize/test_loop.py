"""Many targets: each result is kept, whatever becomes of the others, and nothing disturbs a measurement."""

import contextlib
import dataclasses
import multiprocessing
import os
import pathlib
import threading
import time

import numpy as np
import pytest

import ofa_tf
from ofa_tf.common import InputError, OfaError
from ofa_tf.deploy import Runner
from ofa_tf.devices import BenchmarkOptions
from ofa_tf.devices.connection import UnavailableError
from ofa_tf.specialize import MODEL, TargetDevices, TargetResult, loop, open_source, rounds
from tests.micro import micro_space
from tests.specialize.small import MacsAccuracy, MacsLatency, small_target


@pytest.fixture
def devices(monkeypatch):
    """This machine and "phone" are here, and take as long as they say; tables believe in MACs."""
    times_ms = {"host": 1.0, "phone": 1.0}

    def measure_ms(self, target, path):
        found = times_ms[target.device]
        if isinstance(found, BaseException):
            raise found
        return found

    monkeypatch.setattr(TargetDevices, "is_attached", lambda self, device: device in times_ms)
    monkeypatch.setattr(TargetDevices, "_open", lambda self, target, runs, seconds: contextlib.nullcontext())
    monkeypatch.setattr(TargetDevices, "build_tables", lambda self, wanted: list(wanted))
    monkeypatch.setattr(TargetDevices, "table", lambda self, target: MacsLatency())
    monkeypatch.setattr(TargetDevices, "measure_ms", measure_ms)
    return times_ms


@pytest.fixture
def run(opened, predictor, tmp_path):
    """Specializes targets into one folder; gives the results by their names."""

    def call(*targets, **options) -> dict[str, TargetResult]:
        options = {"supernet": opened, "predictor": predictor, **options}
        done = ofa_tf.specialize(targets=targets, output=tmp_path, **options)
        return {result.target.name: result for result in done.results}

    return call


def test_failures_among_good_ones(run, devices, monkeypatch, tmp_path, capsys):
    """A limit that cannot be kept, and an error of the program, are results of one line like any other."""

    def table(self, target):
        if target.name == "no table":
            raise OfaError("the phone is lost")
        return MacsLatency()

    monkeypatch.setattr(TargetDevices, "table", table)
    devices["broken"] = ZeroDivisionError("a clock that stands still")
    found = run(
        small_target("first"),
        small_target("impossible", limits={"macs": 10}),
        small_target("a bug", device="broken", limits={"latency_ms": 3}),
        small_target("no table", limits={"latency_ms": 3}),
        small_target("last"),
    )
    assert {name: it.status for name, it in found.items()} == {
        "first": "verified", "impossible": "failed", "a bug": "failed", "no table": "failed", "last": "verified",
    }  # fmt: skip
    assert "cannot be kept" in found["impossible"].reason
    assert "ZeroDivisionError: a clock that stands still (all of it in " in found["a bug"].reason
    assert "Traceback" in (tmp_path / "targets" / "a_bug" / "error.txt").read_text()
    assert found["no table"].reason == "the phone is lost"
    for name, result in found.items():
        assert TargetResult.load(tmp_path / "targets" / name.replace(" ", "_") / "result.json") == result
    assert "[5/5] " in capsys.readouterr().err


def test_a_phone_that_is_lost_fails_its_target_only_until_it_is_back(run, devices):
    """The file that is there is not made again: only measured."""
    targets = small_target("on phone", device="phone", limits={"latency_ms": 3}), small_target("here")
    devices["phone"] = OfaError("phone: no room")
    found = run(*targets)
    assert (found["on phone"].status, found["on phone"].reason) == ("failed", "phone: no room")
    assert found["here"].status == "verified"
    written = found["on phone"].path.stat().st_mtime_ns
    devices["phone"] = 2.5
    found = run(*targets)["on phone"]
    assert (found.status, found.reason, found.measured["latency_ms"]) == ("verified", "", 2.5)
    assert found.path.stat().st_mtime_ns == written


def test_finished_targets_are_known(run, devices, opened, tmp_path, monkeypatch):
    """By target, weights and predictor; a failure is tried again, and so is what can be measured now."""
    target = small_target()
    path = tmp_path / "targets" / "small" / "result.json"

    def is_done_again(*targets, **options) -> bool:
        before = path.stat().st_mtime_ns
        run(*targets or [target], **options)
        return path.stat().st_mtime_ns != before

    result = run(target)["small"]
    assert result.source == {**opened.digests, "predictor": "macs", "names": opened.names_digest}
    assert not is_done_again()
    # Of an older version, which does not tell its predictor.
    dataclasses.replace(result, source=opened.digests).save(path)
    assert not is_done_again()
    for field in ("weights", "predictor", "names"):
        other = {**result.source, field: "others"}
        dataclasses.replace(result, source=other).save(path)
        assert is_done_again()
    assert is_done_again(small_target(limits={"macs": 1e5}))
    run(target)
    (path.parent / MODEL).unlink()
    assert is_done_again(), "a report would link to a file that is not there"
    impossible = small_target(limits={"macs": 1})
    assert run(impossible)["small"].path is None, "the file was made for the former limits"
    assert (path.parent / MODEL).exists(), "a mistake costs no file"
    assert is_done_again(impossible)
    foreign = MacsAccuracy(micro_space(num_classes=7))
    assert run(target, predictor=foreign)["small"].status == "architecture"
    assert not is_done_again(predictor=foreign)
    away = small_target(device="away", limits={"latency_ms": 3})
    assert run(away)["small"].status == "exported"
    assert not is_done_again(away)
    state = path.with_name("finetune_x.checkpoint.npz")
    state.write_bytes(b"of a training that a next round would go on from")
    devices["away"] = 2.0
    assert run(away)["small"].status == "verified"
    assert not state.exists()
    spelled = dataclasses.replace(away, latency_table="tables/t.json")
    assert is_done_again(spelled)
    assert not is_done_again(dataclasses.replace(spelled, latency_table=os.path.abspath("tables/t.json")))
    assert not is_done_again(spelled)
    monkeypatch.chdir(tmp_path)
    assert not is_done_again(spelled), "the folder with targets and tables was moved"
    named = dataclasses.replace(away, latency_table=str(tmp_path / "elsewhere" / "tables" / "t.json"))
    assert not is_done_again(named), "nothing is where it was, and the last two names are the same"
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "t.json").touch()
    assert is_done_again(named), "another file"
    (tmp_path / "tables" / "t.json").unlink()
    assert is_done_again(dataclasses.replace(away, latency_table="other/t.json")), "another name"


def test_a_run_that_was_stopped_goes_on_where_it_was(run, devices, monkeypatch):
    """Ctrl-C while a file is measured: the next run measures that file, and makes it again only where it is over."""
    target = small_target(limits={"latency_ms": 1.2})
    devices["host"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run(target)
    devices["host"] = 1.0
    searches = []
    monkeypatch.setattr(rounds, "evolutionary_search", lambda *it, **options: searches.append(it))
    found = run(target)["small"]
    assert (found.status, searches) == ("verified", [])


def test_what_no_single_target_can_be_blamed_for(opened, predictor, tmp_path):
    """A supernet without a predictor, limits beside targets, a folder that somebody works on."""
    with pytest.raises(InputError, match="--predictor: none given"):
        ofa_tf.specialize(opened, limits={"macs": 1e6}, output=tmp_path)
    with pytest.raises(InputError, match="max_latency_ms and targets are given"):
        ofa_tf.specialize(opened, targets=[small_target()], max_latency_ms=2, output=tmp_path)
    with pytest.raises(InputError, match="two are called small; give each a name of its own"):
        ofa_tf.specialize(opened, targets=[small_target(), small_target()], predictor=predictor, output=tmp_path)
    with pytest.raises(InputError, match="there are none, expected at least one"):
        ofa_tf.specialize(opened, targets=[], predictor=predictor, output=tmp_path)
    with pytest.raises(InputError, match="images, dataset or resize are given, and a supernet"):
        ofa_tf.specialize(opened, limits={"macs": 1e6}, images=tmp_path, output=tmp_path)
    with pytest.raises(InputError, match="images is given, and no supernet or photos that it is for"):
        ofa_tf.specialize(limits={"macs": 1e6}, images=tmp_path, predictor=predictor, output=tmp_path)
    with pytest.raises(InputError, match="--delegate: is for phones and computers by ssh"):
        ofa_tf.specialize(
            opened,
            targets=[small_target()],
            predictor=predictor,
            output=tmp_path,
            options=BenchmarkOptions(delegate="gpu"),
        )
    with pytest.raises(InputError, match=r"none\.npz: no such file"):
        ofa_tf.specialize(opened, limits={"macs": 1e6}, predictor=tmp_path / "none.npz", output=tmp_path)
    with pytest.raises(InputError, match=r"limits is \{\}, expected at least one of"):
        ofa_tf.specialize(opened, predictor=predictor, output=tmp_path)


def test_the_folder_stays_locked_until_the_results_are_told(opened, predictor, tmp_path):
    """So that a page is written before another command changes what it shows."""
    options = {"limits": {"macs": 10}, "predictor": predictor, "output": tmp_path}
    told = []

    def on_done(done):
        told.extend(done.results)
        with pytest.raises(InputError, match="another process works on it"):
            ofa_tf.specialize(opened, **options)

    ofa_tf.specialize(opened, on_done=on_done, **options)
    assert [result.status for result in told] == ["failed"]


def test_a_supernet_is_made_while_the_folder_is_locked(opened, predictor, tmp_path):
    """So that two commands do not train in one folder at once."""
    made = []

    def make():
        with pytest.raises(InputError, match="another process works on it"):
            loop.specialize_targets([small_target()], tmp_path, opened=opened, predictor=predictor)
        made.append(opened)
        return opened

    done = loop.specialize_targets([small_target()], tmp_path, opened=make, predictor=predictor)
    assert (done.opened, made) == (opened, [opened])


def test_a_device_that_is_missing_is_told_before_the_supernet_is_made(opened, predictor, devices, tmp_path, capsys):
    """Not after hours of training; one that comes in the meantime is measured."""
    timed = {"limits": {"latency_ms": 3}}
    targets = [small_target("a", device="later", **timed), small_target("b", device="phone", **timed)]

    def make():
        said = capsys.readouterr().err
        assert said.count("device later: is not here, and no latency_table is given") == 1
        assert "device phone" not in said
        devices["later"] = 2.0
        return opened

    done = loop.specialize_targets(targets, tmp_path, opened=make, predictor=predictor)
    assert [result.status for result in done.results] == ["verified", "verified"]


@pytest.mark.parametrize("error", [OfaError, UnavailableError])
def test_a_device_that_cannot_be_used_is_told_before(opened, predictor, monkeypatch, tmp_path, capsys, error):
    """A mistake in its name ends the command at once, before a supernet is made; what may change by then is told."""
    targets = [small_target(device="ssh:a b", limits={"latency_ms": 3})]
    with pytest.raises(InputError, match="expected ssh:host"):
        loop.specialize_targets(targets, tmp_path, opened=pytest.fail, predictor=predictor)

    def lost(self, target, runs, seconds):
        raise error("its cable hangs loose")

    monkeypatch.setattr(TargetDevices, "is_attached", lambda self, device: True)
    monkeypatch.setattr(TargetDevices, "table", lambda self, target: MacsLatency())
    monkeypatch.setattr(TargetDevices, "_open", lost)

    def make():
        assert "device phone: cannot be used now: its cable hangs loose" in capsys.readouterr().err
        return opened

    targets = [small_target(device="phone", limits={"latency_ms": 3})]
    [result] = loop.specialize_targets(targets, tmp_path, opened=make, predictor=predictor).results
    assert (result.status, result.reason) == ("failed", "its cable hangs loose")


def test_a_damaged_result_costs_the_others_nothing(run, tmp_path, capsys):
    """Zero bytes after a power cut, say: its target is made again."""
    run(small_target("a"), small_target("b"))
    path = tmp_path / "targets" / "a" / "result.json"
    path.write_bytes(b"")
    assert {it.status for it in run(small_target("a"), small_target("b")).values()} == {"verified"}
    assert f"{path}: " in capsys.readouterr().err


def test_test_images_are_reported_once(opened, predictor, tmp_path, capsys):
    """On all of them, after everything is decided; a file that is there is not run again."""

    def call() -> TargetResult:
        targets = [small_target(), small_target("impossible", limits={"macs": 10})]
        done = loop.specialize_targets(targets, tmp_path, opened=opened, predictor=predictor, tested=True)
        assert done.failed[0].test_top1 is None
        return done.results[0]

    result = call()
    images, labels = opened.evaluator.images("test", result.arch.r)
    assert result.test_top1 == np.mean(Runner(result.path).predict(images).argmax(-1) == labels)
    assert result.test_images == len(labels) == 360
    assert f"test top-1 {100 * result.test_top1:.1f}% on 360" in result.summary()
    assert TargetResult.load(result.path.parent / "result.json") == result
    capsys.readouterr()
    assert call() == result
    assert "small: test images" not in capsys.readouterr().err
    # Other test images are other figures, and no other file.
    test = opened.dataset.split("test")
    opened = dataclasses.replace(
        opened,
        dataset=dataclasses.replace(
            opened.dataset, splits={**opened.dataset.splits, "test": test.take("test", np.arange(9))}
        ),
    )
    fewer = call()
    assert fewer.test_images == 9
    whole = opened.dataset
    without = {name: split for name, split in whole.splits.items() if name != "test"}
    opened = dataclasses.replace(opened, dataset=dataclasses.replace(whole, splits=without))
    assert call().test_top1 is None, "of images that are no longer there"
    opened = dataclasses.replace(opened, dataset=whole)
    assert call() == fewer
    assert dataclasses.replace(fewer, test_top1=result.test_top1, test_images=360, test_data=result.test_data) == result


@pytest.mark.slow
def test_a_process_that_dies_takes_one_target_with_it(tmp_path, monkeypatch):
    """Two processes, one of which always ends on one target, and one that is killed once."""

    class Deadly(MacsAccuracy):
        """Ends the process that it is brought to."""

        def __reduce__(self):
            return os._exit, (3,)

    opened = open_source(supernet="ofa_imagenette_mbv3")
    space = opened.net.space
    predictors = {"dies": Deadly(space)}
    monkeypatch.setattr(loop, "open_accuracy_predictor", lambda name: predictors[name])
    fields = {"limits": {"macs": 12e6}, "resolutions": (96,), "images": 20, "max_drop": 1.0, "candidates": 1}
    targets = [small_target(f"{index}", seed=index, **fields) for index in range(3)]
    targets.insert(1, small_target("dying", predictor="dies", **fields))

    def kill_one() -> None:
        while not multiprocessing.active_children():
            time.sleep(0.1)
        time.sleep(3)
        multiprocessing.active_children()[0].kill()

    threading.Thread(target=kill_one, daemon=True).start()
    done = ofa_tf.specialize(opened, targets=targets, output=tmp_path, predictor=MacsAccuracy(space), workers=2)
    assert [it.status for it in done.results] == ["verified", "failed", "verified", "verified"]
    assert done.failed[0].reason.startswith("its process ended")
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_nothing_works_while_this_machine_is_measured(tmp_path, devices, monkeypatch):
    """The processes that make files use no processor time then."""
    opened = open_source(supernet="ofa_imagenette_mbv3")
    used = []

    def ticks() -> int:
        total = 0
        for process in multiprocessing.active_children():
            fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")")[1].split()
            total += int(fields[11]) + int(fields[12])
        return total

    def measure_ms(self, target, path):
        time.sleep(0.2)  # What was answered a moment ago is still being tidied away.
        before = ticks()
        time.sleep(0.5)
        used.append(ticks() - before)
        return 1.0

    monkeypatch.setattr(TargetDevices, "measure_ms", measure_ms)
    fields = {"limits": {"latency_ms": 120.0}, "resolutions": (96,), "images": 20, "max_drop": 1.0, "candidates": 1}
    targets = [small_target(f"{index}", seed=index, **fields) for index in range(4)]
    done = ofa_tf.specialize(
        opened, targets=targets, output=tmp_path, predictor=MacsAccuracy(opened.net.space), workers=2
    )
    assert [it.status for it in done.results] == ["verified"] * 4
    assert len(used) == 4
    assert max(used) <= 2
