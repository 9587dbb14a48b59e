"""From photos or a trained supernet to a checked .tflite file for each device and budget, in one command.

    python -m tools.specialize --photos=DIR --max_latency_ms=2 --output=OUT
    python -m tools.specialize --supernet=ofa_imagenette_mbv3 --max_latency_ms=2 --output=OUT
    python -m tools.specialize --run_dir=RUN --max_peak_memory_bytes=180e3 --max_model_bytes=900e3 --device=board \\
        --resolutions=96 --output=OUT
    python -m tools.specialize --run_dir=RUN --targets=targets.yaml --workers=2 --output=OUT

One target stands on the flags, many in a file (docs/specialize.md has an example). For each: search, calibrate and
evaluate the best candidates on the validation split, choose, export, check, and measure on the device where that is
here; a file over its limits makes the next search stricter, a few times. `--device` is host, the serial of a phone that
adb sees, or any other word: of a device that is not here figures are predicted, by the `--latency_table` given. Tables
of this machine and of attached phones are built unless given, and kept in OUT/tables.

`--photos` names a folder with DIR/train/<class>/, at least 30 photos in all, of any classes. A part of them decides
(those of DIR/validation, where that is there), those of DIR/test or DIR/val are only reported in the end. The supernet
that ships (or `--supernet`) learns them in OUT/run: its largest network first, which then teaches all sub-networks.
Accuracies are measured, their predictor is fitted, and the targets follow. How much is done follows from the number of
photos and is told before the first step; on the way, the time that is left for the whole. Ctrl-C stops it, the same
command goes on; one with other targets begins with what was learned.

OUT/targets/NAME holds model.tflite, its card model.md and result.json; OUT/report.html shows all of them. The same
command given again does only what is not finished: after a kill, with more targets, or with a device that was missing.
What fails is told in one line, and leaves the others alone; the exit code is 1 then. A target whose accuracy predictor
is of another space than the supernet (or where there is none) ends as an architecture, with the command that fetches
the published weights. With `--learn`, measured networks correct the latency tables, and evaluated sub-networks are
added to the accuracy pairs.
"""

import os
import shlex
import sys

from absl import flags

from ofa_tf.common import InputError, OfaError, as_called, cli
from ofa_tf.common.form import PRECISIONS
from ofa_tf.devices import HOST, check_host, device_flags

from . import limit_flags, source_flags

_SOURCE = source_flags.define()
_PHOTOS = flags.DEFINE_string(
    "photos", None, "a folder with train/<class>/ of your photos, which a supernet learns first, see above"
)
_PREDICTOR = flags.DEFINE_string(
    "predictor", None, "of accuracies; the supernet's own (RUN/predictor.npz) unless given"
)
_TARGETS = flags.DEFINE_string("targets", None, "a YAML or JSON file of targets, in place of one on the flags")
_NAME = flags.DEFINE_string("name", None, "of the one target; made of its device, precision and limits unless given")
_DEVICE = flags.DEFINE_string("device", None, "host, a serial, ssh:USER@HOST, or a word for a device that is not here")
_LATENCY_TABLE = flags.DEFINE_string("latency_table", None, "of the device, as tools.search takes it")
_LIMITS = limit_flags.define()
_PRECISION = flags.DEFINE_enum("precision", None, list(PRECISIONS), "of the file; int8 unless given")
_THREADS = flags.DEFINE_integer("threads", None, "of the interpreter on the device; 1 unless given", lower_bound=1)
_CANDIDATES = flags.DEFINE_integer(
    "candidates", None, "evaluated on the validation split, at most 25; 8 unless given", lower_bound=1
)
_IMAGES = flags.DEFINE_integer("images", None, "at most so many validation images, evenly spaced", lower_bound=1)
_MAX_DROP = flags.DEFINE_float("max_drop", None, "the top-1 that the file may lose, 0..1; the precision's unless given")
_FINETUNE_EPOCHS = flags.DEFINE_integer("finetune_epochs", None, "train the chosen network on its own", lower_bound=0)
_QUANTIZATION_AWARE_EPOCHS = flags.DEFINE_integer(
    "quantization_aware_epochs", None, "train it with the rounding of int8 inside", lower_bound=0
)
_SEED = flags.DEFINE_integer("seed", None, "of search and training", lower_bound=0)
_WORKERS = flags.DEFINE_integer("workers", 1, "processes that work at once", lower_bound=1)
_TABLE_ROUNDS = flags.DEFINE_integer(
    "table_rounds",
    None,
    "of this machine's tables: fewer are faster and noisier; 8, with --photos 4, unless given",
    lower_bound=1,
)
_FLIP = flags.DEFINE_bool(
    "flip", True, "with --photos: learn from mirror images, too; --noflip for letters, digits, left and right"
)
_LEARN = flags.DEFINE_bool("learn", False, "correct tables and extend accuracy pairs by what is measured")
_BASELINES = flags.DEFINE_list(
    "baselines",
    [],
    "known networks, for the report, where a target limits this machine's latency: mobilenet_v3_small, ... are timed "
    "here; keras:MobileNetV2, ... or files of tools.import_ofa learn the images first",
)
_CO2 = flags.DEFINE_float(
    "co2_lb_per_hour", None, "of this device, for the report's design cost; a GPU's published unless given", 0.0
)
_OUTPUT = flags.DEFINE_string("output", None, "the folder for everything", required=True)

_ONE = {
    "name": _NAME,
    "device": _DEVICE,
    "latency_table": _LATENCY_TABLE,
    "precision": _PRECISION,
    "form": _LIMITS.form,
    "threads": _THREADS,
    "candidates": _CANDIDATES,
    "images": _IMAGES,
    "max_drop": _MAX_DROP,
    "finetune_epochs": _FINETUNE_EPOCHS,
    "quantization_aware_epochs": _QUANTIZATION_AWARE_EPOCHS,
    "seed": _SEED,
}


def main(argv):
    """Specializes."""
    del argv
    if _TARGETS.value is None and not _LIMITS.limits():
        raise InputError("no target given; give --max_latency_ms, another limit, or --targets=FILE")
    if _TARGETS.value is not None:
        _check_alone()
    if _PHOTOS.value is not None:
        _check_photos_alone()
    elif not _FLIP.value:
        raise InputError("--noflip: says how --photos are learned, and none are given; leave it out")
    from ofa_tf.specialize import read_targets, specialize

    from .specialization_page import check_baselines, write_page

    check_baselines(_BASELINES.value)

    targets = [_one_target()] if _TARGETS.value is None else read_targets(_TARGETS.value)
    settings = device_flags.settings(_TABLE_ROUNDS.value or (8 if _PHOTOS.value is None else None))
    options = device_flags.options(threads=1, runs=1, seconds=0.0)
    if all(target.device == HOST for target in targets):
        # At once, before the supernet is opened.
        check_host(options, settings)
    command = as_called(f"python -m tools.specialize {shlex.join(sys.argv[1:])}")
    source = _SOURCE.values()
    supernet = source["supernet"]
    if _PHOTOS.value is None:
        if not (source["run_dir"] or supernet):
            for name in ("stage", "dataset", "data_dir", "validation"):
                if source[name] is not None:
                    raise InputError(f"--{name}: is for a --run_dir or --supernet, and none is given; give one")
        supernet = _SOURCE.open() if source["run_dir"] or supernet else None
    done = specialize(
        supernet,
        photos=_PHOTOS.value,
        flip=_FLIP.value,
        resize=source["resize"] if supernet is None or _PHOTOS.value is not None else None,
        targets=targets,
        output=_OUTPUT.value,
        predictor=_PREDICTOR.value,
        workers=_WORKERS.value,
        learn=_LEARN.value,
        on_done=lambda done: write_page(done, command=command, baselines=_BASELINES.value, co2_lb_per_hour=_CO2.value),
        settings=settings,
        options=options,
    )
    page = done.output / "report.html"
    for result in done.results:
        print(result.summary())
        if result.command:
            print(f"    its weights are not here: {result.command}")
    print(f"report: {page}")
    if done.failed:
        names = ", ".join(result.target.name for result in done.failed)
        raise OfaError(
            f"{len(done.failed)} of {len(targets)} targets failed: {names}; {page} or their result.json says why, the "
            f"same command tries them again" + (f"; --learn: {done.unlearned}" if done.unlearned else "")
        )
    if done.unlearned:
        raise done.unlearned


def _check_alone() -> None:
    """A file of targets says all that the flags of one target do."""
    given = [flag.name for flag in (*_ONE.values(), _LIMITS.resolutions) if flag.value is not None]
    given += [f"max_{kind}" for kind in _LIMITS.limits()]
    if given:
        raise InputError(f"--{given[0]}: --targets says it for each target; leave --{given[0]} out")


def _check_photos_alone() -> None:
    """Photos say which images, and make a run and a predictor of their own."""
    if _SOURCE.validation.value is not None:
        raise InputError(
            "--validation: with --photos the number follows from that of the photos; leave it out, or put those that "
            "decide into a folder validation/ beside train/"
        )
    for flag in (_SOURCE.run_dir, _SOURCE.stage, _SOURCE.dataset, _SOURCE.data_dir, _PREDICTOR):
        if flag.value is not None:
            raise InputError(f"--{flag.name}: --photos makes a run of its own from its photos; leave --{flag.name} out")


def _one_target():
    from ofa_tf.specialize import Target, default_name

    limits = _LIMITS.limits()
    fields = {name: flag.value for name, flag in _ONE.items() if flag.value is not None}
    fields.setdefault("device", "host")
    if os.path.exists(fields.get("latency_table", "")):
        # The same file when the command is given again from elsewhere.
        fields["latency_table"] = os.path.abspath(fields["latency_table"])
    if _LIMITS.sides() is not None:
        fields["resolutions"] = _LIMITS.sides()
    fields.setdefault("name", default_name(fields["device"], fields.get("precision", "int8"), limits))
    return Target.from_config({**fields, "limits": limits})


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
