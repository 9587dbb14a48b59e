"""Published networks fine-tuned as they are on the same images: what the search's front has to be better than."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Callable
from typing import Any

from ofa_tf.common import InputError, read_json, write_json
from ofa_tf.networks import PackedSupernet
from ofa_tf.spaces import Arch, native_arch
from ofa_tf.specialize.opened import Opened, of_packed, read_initial, resizing
from ofa_tf.specialize.photos import training_passes
from ofa_tf.specialize.subnet_files import export_subnet, file_top1, finetuned_weights
from ofa_tf.training import weights_digest

# Of the passes with which all sub-networks learn the photos, as one network needs fewer; and of these, those that train
# the new classifier alone.
_PASSES_SHARE, _HEAD_SHARE = 0.6, 0.2
# They are shown as they are, whatever they lose to the rounding.
_MAX_DROP = 1.0


def check_network(name: str) -> None:
    """Raises `InputError` where a name is of no published network whose weights are here."""
    _native(name)


def measure_finetuned(
    path: pathlib.Path,
    name: str,
    opened: Opened,
    *,
    precision: str,
    threads: int,
    measure: Callable[[pathlib.Path], float],
    say: Callable[[str], None],
) -> None:
    """Fine-tunes a published network at its own image side, exports and measures it; what the file has is kept.

    The new classifier is trained first, then all of it.

    Args:
        path: the JSON file of baselines; networks and their state lie in the folder `baselines` beside it.
        name: as `read_initial` takes it, for example "keras:MobileNetV2" or a file of tools.import_ofa.
        opened: whose images it learns.
        precision: of its file.
        threads: of the interpreter, for the record.
        measure: gives a file's latency in milliseconds.
        say: told what is done.

    Raises:
        InputError: there is no such network, or its weights are not here.

    Source: TensorFlow Lite Model Maker's recipe for image classifiers.
    """
    packed, arch = _native(name)
    title = str(packed.provenance["network"])
    key = f"{title}, fine-tuned, {precision}, {threads} threads"
    kept = read_json(path, "baselines") if path.exists() else {}
    dataset = opened.dataset
    source = {"images": dataset.digest, "weights": weights_digest(packed.net), **resizing(opened.evaluator)}
    folder = path.parent / "baselines"
    epochs = max(2, round(_PASSES_SHARE * training_passes(len(dataset.split("train")))))
    augmentation = opened.evaluator.augmentation.to_config()
    # What is trained is kept apart by what it was trained from and on, and how.
    digest = hashlib.sha256(json.dumps([source, epochs, augmentation]).encode()).hexdigest()
    trained = f"{title}-{digest[:8]}"
    checkpoint, file = folder / f"{trained}.npz", folder / f"{trained}-{precision}.tflite"
    figures: dict[str, Any] = kept.get(key, {})
    test_data = dataset.split("test").content_digest if "test" in dataset.splits else None
    learned = figures.get("training") == digest and file.exists()
    if learned and figures.get("test_data") == test_data:
        return
    packed = dataclasses.replace(packed, augmentation=augmentation)
    native = of_packed(packed, dataset, title, opened.evaluator.preprocessing.resize)
    if not learned:
        folder.mkdir(exist_ok=True)
        head = max(1, round(_HEAD_SHARE * epochs))
        passes = f"{head} passes over the images for the classifier, {epochs - head} for all of it"
        say(f"baseline {title}: {passes}{', less what was done before' if checkpoint.exists() else ''}")
        # Kept, as files of other precisions and for other numbers of threads are made from it.
        training = {"epochs": epochs, "head_epochs": head, "seed": 0, "checkpoint": checkpoint, "keep": True}
        weights = finetuned_weights(native, arch, **training)
        report = export_subnet(
            native, arch, file, split="validation", weights=weights, precision=precision, max_drop=_MAX_DROP
        )
        figures = {
            "name": title,
            "resolution": arch.r,
            "precision": precision,
            "latency_ms": measure(file),
            "top1": report.tflite_top1,
            "float_top1": report.keras_top1,
            "source": source,
            "training": digest,
        }
    # Those of other test images, or of ones that are gone, are nobody's.
    figures = {name: value for name, value in figures.items() if not name.startswith("test_")}
    if test_data is not None:
        top1, images = file_top1(native, file, arch.r, split="test")
        figures |= {"test_top1": top1, "test_images": images, "test_data": test_data}
    write_json(path, {**kept, key: figures})


def _native(name: str) -> tuple[PackedSupernet, Arch]:
    """A published network as the supernet around it, and which sub-network it is."""
    packed = read_initial(name)
    arch = native_arch(packed.net.space)
    if arch is None or "network" not in packed.provenance:
        raise InputError(
            f"--baselines={name}: not a published network as it was; give one as tools.import_ofa packs it, or keras: "
            f"and the name of one"
        )
    return packed, arch
