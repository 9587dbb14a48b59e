"""From a supernet and targets to one checked file each: search, choose, export, measure, looped and resumable.

`ofa_tf.specialize(...)` is the call; this package holds what it is made of.
"""

import dataclasses
import importlib
import os
import pathlib
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ofa_tf.devices import BenchmarkOptions, Settings
    from ofa_tf.predictors import AccuracyPredictor
    from ofa_tf.specialize.learning import collect_pairs, learn_accuracies, learn_latencies, open_pairs
    from ofa_tf.specialize.loop import Specialization, specialize_targets
    from ofa_tf.specialize.opened import (
        Opened,
        evaluator_for,
        evaluator_of,
        names_run,
        of_run,
        open_source,
        read_initial,
        read_supernet,
    )
    from ofa_tf.specialize.predictors import open_accuracy_predictor, open_latency_predictor
    from ofa_tf.specialize.rounds import specialize_target, stricter_limits, with_latency
    from ofa_tf.specialize.subnet_files import export_subnet, file_top1, finetuned_weights, train_quantized
    from ofa_tf.specialize.target import Target, default_name, read_targets
    from ofa_tf.specialize.target_devices import TargetDevices
    from ofa_tf.specialize.target_result import MODEL, TargetResult
    from ofa_tf.specialize.trained import train_supernet

# Loaded when they are asked for: most bring TensorFlow along, which targets and predictors do without.
_MODULES = {
    "learning": ("collect_pairs", "learn_accuracies", "learn_latencies", "open_pairs"),
    "loop": ("Specialization", "specialize_targets"),
    "opened": (
        "Opened",
        "evaluator_for",
        "evaluator_of",
        "names_run",
        "of_run",
        "open_source",
        "read_initial",
        "read_supernet",
    ),
    "predictors": ("open_accuracy_predictor", "open_latency_predictor"),
    "rounds": ("specialize_target", "stricter_limits", "with_latency"),
    "subnet_files": ("export_subnet", "file_top1", "finetuned_weights", "train_quantized"),
    "target": ("Target", "default_name", "read_targets"),
    "target_devices": ("TargetDevices",),
    "target_result": ("MODEL", "TargetResult"),
    "trained": ("train_supernet",),
}
_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "MODEL",
    "Opened",
    "Specialization",
    "Target",
    "TargetDevices",
    "TargetResult",
    "collect_pairs",
    "default_name",
    "evaluator_for",
    "evaluator_of",
    "export_subnet",
    "file_top1",
    "finetuned_weights",
    "learn_accuracies",
    "learn_latencies",
    "names_run",
    "of_run",
    "open_accuracy_predictor",
    "open_latency_predictor",
    "open_pairs",
    "open_source",
    "read_initial",
    "read_supernet",
    "read_targets",
    "specialize",
    "specialize_target",
    "specialize_targets",
    "stricter_limits",
    "train_quantized",
    "train_supernet",
    "with_latency",
]


def __getattr__(name: str):
    if name in _OF:
        return getattr(importlib.import_module(f"{__name__}.{_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def specialize(
    supernet: "str | os.PathLike | Opened | None" = None,
    *,
    output: str | os.PathLike,
    photos: str | os.PathLike | None = None,
    device: str | None = None,
    max_latency_ms: float | None = None,
    limits: Mapping[str, float] | None = None,
    targets: "Sequence[Target] | str | os.PathLike | None" = None,
    images: str | os.PathLike | None = None,
    dataset: str | None = None,
    resize: str | None = None,
    flip: bool = True,
    predictor: "str | AccuracyPredictor | None" = None,
    workers: int = 0,
    learn: bool = False,
    on_done: "Callable[[Specialization], None]" = lambda done: None,
    settings: "Settings | None" = None,
    options: "BenchmarkOptions | None" = None,
    **fields: Any,
) -> "Specialization":
    """Makes a checked `.tflite` file for each target: a device, and what a network may take there.

    For each target: search below its limits, calibrate and evaluate the best candidates on the validation split,
    choose, export and check the file, and measure it on the device where that is here. A file over its limits makes the
    next search stricter, a few times. Latency tables of devices that are here are built unless given, and kept. Every
    result is written at once; the same call again does only what is not finished.

    With `photos`, a supernet learns their classes first: its largest network, then with that as their teacher all
    others. The accuracy predictor is fitted to it, and the files' accuracy on test images is reported.

    Args:
        supernet: the name of one that ships, a packed file, a run directory of tools.train, or an opened one. None
            where only architectures are wanted, of the predictor's space. With `photos`, what the training begins
            with, by its name or path; one that ships unless given.
        output: the folder of everything that is written.
        photos: a folder with `train/<class>/`, at least 30 photos, of classes that the supernet need not know; perhaps
            `validation/<class>/`, which then decides in the place of a part of them, and `test/<class>/`.
        device: "host" (this machine, unless another is given), the serial of a phone that adb sees, "ssh:" and a
            computer, or any other word for a device that is not here, whose figures are then only predicted.
        max_latency_ms: the limit of latency, in milliseconds.
        limits: other limits by kind, see `Target`.
        targets: several at once, or the file that holds them, in place of `device` and limits.
        images: the folder of images, with class folders; the supernet's own unless given.
        dataset: "folder", "digits" or a TFDS name, of `images`.
        resize: how images become squares, "crop" or "stretch", as the files' cards then say; as the supernet's did
            unless given. An opened one has its own.
        flip: with `photos`, whether one and its mirror image show the same; False for letters, digits, left and right.
        predictor: of accuracies, or the name or file of one; the supernet's own unless given.
        workers: processes that make files at once, where there are several targets; 0 makes them in this process. A
            script that asks for processes needs `if __name__ == "__main__":` around its call, as always in Python.
        learn: whether measurements correct the tables and extend the accuracy pairs.
        on_done: called with the results before anything is learned, while the folder is locked: to write a page, say.
        settings: where programs and logs of devices are, and in how many rounds this machine is measured.
        options: how phones are treated.
        **fields: of the one `Target`: `precision`, `resolutions`, `candidates`, `max_drop` and others.

    Returns:
        The results in the targets' order, each with `path`, `status`, `measured` and `tflite_top1`. A target that could
        not be done is a result, too, with its `reason`.

    Raises:
        InputError: a mistake that no single target can be blamed for.

    Example:
        import ofa_tf
        done = ofa_tf.specialize("ofa_imagenette_mbv3", max_latency_ms=2.0, output="out")
        print(done.results[0].path, done.results[0].measured["latency_ms"])
        ofa_tf.specialize(photos="flowers", max_latency_ms=2.0, output="flowers_out")
    """
    from ofa_tf import devices
    from ofa_tf.common import InputError
    from ofa_tf.specialize.loop import specialize_targets
    from ofa_tf.specialize.opened import Opened, names_run, open_source
    from ofa_tf.specialize.target import Target, default_name, read_targets

    others = {"images": images, "dataset": dataset, "predictor": predictor}
    if photos is not None and (isinstance(supernet, Opened) or any(each is not None for each in others.values())):
        given = next((name for name, each in others.items() if each is not None), "an opened supernet")
        raise InputError(f"specialize: photos and {given} are given; photos makes its own, leave {given} out")
    if isinstance(supernet, Opened) and any(each is not None for each in (images, dataset, resize)):
        raise InputError(
            "specialize: images, dataset or resize are given, and a supernet that is opened with its own; leave them "
            "out"
        )
    if supernet is None and photos is None:
        for name, each in {"images": images, "dataset": dataset, "resize": resize}.items():
            if each is not None:
                raise InputError(f"specialize: {name} is given, and no supernet or photos that it is for; leave it out")
    if targets is None:
        device = "host" if device is None else device
        limits = {**({} if max_latency_ms is None else {"latency_ms": max_latency_ms}), **(limits or {})}
        fields.setdefault("name", default_name(device, fields.get("precision", "int8"), limits))
        targets = [Target.from_config({**fields, "device": device, "limits": limits})]
    elif fields or limits or max_latency_ms is not None or device is not None:
        given = next(iter([*fields, *(limits or {}), *(["device"] if device is not None else []), "max_latency_ms"]))
        raise InputError(f"specialize: {given} and targets are given; each target says it itself, leave {given} out")
    elif isinstance(targets, (str, os.PathLike)):
        targets = read_targets(targets)
    if all(target.device == devices.HOST for target in targets):
        devices.check_host(options or devices.BenchmarkOptions(), settings or devices.Settings())
    if not flip and photos is None:
        raise InputError("specialize: flip says how photos are learned, and none are given; leave it out")
    if isinstance(images, int):
        raise InputError(
            f"specialize: images is {images}, expected the folder of a supernet's images; of how many a target is "
            f"evaluated say targets=[Target(..., images={images})]"
        )
    opened: Opened | Callable[[], Opened] | None
    if photos is not None:
        from ofa_tf.specialize.photos import TABLE_ROUNDS, supernet_of_photos

        if settings is None or settings.rounds is None:
            settings = dataclasses.replace(settings or devices.Settings(), rounds=TABLE_ROUNDS)
        run_dir = pathlib.Path(output) / "run"
        opened = supernet_of_photos(photos, run_dir, supernet=supernet, targets=targets, resize=resize, flip=flip)
    elif supernet is None or isinstance(supernet, Opened):
        opened = supernet
    else:
        kind = "run_dir" if names_run(supernet) else "supernet"
        data_dir = None if images is None else os.fspath(images)
        opened = open_source(**{kind: os.fspath(supernet)}, dataset=dataset, data_dir=data_dir, resize=resize)
    return specialize_targets(
        targets,
        output,
        opened=opened,
        predictor=predictor,
        workers=workers,
        learning=learn,
        tested=photos is not None,
        on_done=on_done,
        settings=settings,
        options=options,
    )


class _CallableModule(types.ModuleType):
    """So that `ofa_tf.specialize` is the call and the package of its parts."""

    __call__ = staticmethod(specialize)


sys.modules[__name__].__class__ = _CallableModule
