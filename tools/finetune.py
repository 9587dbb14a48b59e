"""Fine-tunes one sub-network and exports it: from a run, a supernet or a published specialized network.

    python -m tools.finetune --run_dir=RUN --arch=arch.json --epochs=10 --output=net.keras
    python -m tools.finetune --supernet=ofa_efficientnet_lite --arch=arch.json --data_dir=DIR --output=net.keras
    python -m tools.finetune --specialized=note10_lat-22ms_top1-76.6_finetune-25 --data_dir=DIR --output=net.keras

The sub-network is extracted with calibrated statistics and trained on its own, without a teacher. A specialized network
begins with its published weights (fetched by name, or `--checkpoint=FILE`; needs torch). Where DIR has other classes
than the network, it gets a new classifier. The output is a plain Keras file from normalized images to logits;
`--tflite=FILE` writes a checked `.tflite` file beside it. The state after each epoch is kept in
OUTPUT.checkpoint.npz: the same command resumes.
"""

import dataclasses
import json
import pathlib
import sys

from absl import flags

from ofa_tf.common import cli
from ofa_tf.common.form import FORMS, PRECISIONS

from . import source_flags

_SOURCE = source_flags.define()
_ARCH = flags.DEFINE_string("arch", None, "with a run or a supernet: largest, smallest, native, or a JSON file")
_RESOLUTION = flags.DEFINE_integer("resolution", None, "image side in pixels; the architecture's unless given")
_SPECIALIZED = flags.DEFINE_string("specialized", None, "a published specialized network: a name, or a net.config")
_CHECKPOINT = flags.DEFINE_string("checkpoint", None, "the specialized network's PyTorch file; fetched unless given")
_EPOCHS = flags.DEFINE_integer("epochs", 25, "passes over the training images", lower_bound=1)
_HEAD_EPOCHS = flags.DEFINE_integer(
    "head_epochs", 0, "how many of them, the first, train the classifier alone", lower_bound=0
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "images per step", lower_bound=1)
_LEARNING_RATE = flags.DEFINE_float("learning_rate", 7.5e-3, "of the first step", lower_bound=0.0)
_SEED = flags.DEFINE_integer("seed", 0, "of data order and augmentation", lower_bound=0)
_TFLITE = flags.DEFINE_string("tflite", None, "write this .tflite file, with its card (.md), too")
_PRECISION = flags.DEFINE_enum(
    "precision", None, list(PRECISIONS), "of the .tflite file; what a search's result says, or int8, unless given"
)
_FORM = flags.DEFINE_enum(
    "form", None, list(FORMS), "how that is written; what a search's result says, or the precision's, unless given"
)
_MAX_DROP = flags.DEFINE_float(
    "max_drop",
    None,
    "the top-1 that the .tflite file may lose against Keras, 0..1; unless given the precision's, and what chance "
    "explains",
    lower_bound=0.0,
    upper_bound=1.0,
)
_OUTPUT = flags.DEFINE_string("output", None, "the .keras file", required=True)


def main(argv):
    """Fine-tunes."""
    del argv
    from ofa_tf.common import InputError, atomic_path, check_writable
    from ofa_tf.data.names import label_facts
    from ofa_tf.deploy.network import check_export
    from ofa_tf.evaluation import evaluate_model
    from ofa_tf.training import FinetuneRecipe, finetune

    from .opening import written_as

    if not _OUTPUT.value.endswith(".keras"):
        raise InputError(f"--output={_OUTPUT.value}: expected a name that ends with .keras")
    check_writable(_OUTPUT.value)
    precision, form = written_as(_ARCH.value or "largest", _PRECISION.value, _FORM.value)
    if _TFLITE.value:
        check_export(_TFLITE.value, precision, max_drop=_MAX_DROP.value)
    for flag in (_PRECISION, _FORM, _MAX_DROP):
        if flag.value is not None and not _TFLITE.value:
            raise InputError(f"--{flag.name}={flag.value}: is that of the --tflite file, and none is asked for")
    if _HEAD_EPOCHS.value > _EPOCHS.value:
        raise InputError(f"--head_epochs={_HEAD_EPOCHS.value}: expected at most the {_EPOCHS.value} of --epochs")
    start = _from_specialized() if _SPECIALIZED.value else _from_supernet()
    if _TFLITE.value:
        # What is wrong with the names of the classes would be told after the training otherwise.
        label_facts(start.dataset)
    recipe = FinetuneRecipe(
        epochs=_EPOCHS.value,
        head_epochs=_HEAD_EPOCHS.value,
        batch_size=_BATCH_SIZE.value,
        learning_rate=_LEARNING_RATE.value,
        seed=_SEED.value,
        augmentation=start.augmentation,
        preprocessing=start.preprocessing,
    )
    checkpoint = f"{_OUTPUT.value}.checkpoint.npz"
    finetune(
        start.model,
        start.dataset,
        recipe,
        checkpoint=checkpoint,
        keep=True,
        after_epoch=lambda epoch, figures: print(json.dumps({"epoch": epoch, **figures})),
    )
    with atomic_path(_OUTPUT.value) as temporary:
        start.model.save(temporary)
    found = {"output": _OUTPUT.value, "split": "validation"}
    found |= evaluate_model(start.model, start.dataset, split="validation", preprocessing=start.preprocessing)
    print(json.dumps(found))
    if _TFLITE.value:
        print(json.dumps(_export(start, precision, form).to_dict()))
    # Not before: what fails or is stopped on the way need not be trained again.
    pathlib.Path(checkpoint).unlink(missing_ok=True)


def _from_supernet():
    from ofa_tf.common import InputError

    from .finetune_start import FinetuneStart
    from .opening import read_arch

    if _CHECKPOINT.value is not None:
        raise InputError(f"--checkpoint={_CHECKPOINT.value}: is for --specialized; leave it out")
    if _ARCH.value is None:
        raise InputError("--arch: not given, expected the architecture to extract; give one, or --specialized")
    opened = _SOURCE.open(other_classes=True)
    arch = read_arch(opened.net.space, _ARCH.value, _RESOLUTION.value)
    evaluator = opened.evaluator
    return FinetuneStart(
        opened.net.extract(arch, opened.statistics(arch)),
        opened.net.space.blocks(arch),
        opened.dataset,
        evaluator.preprocessing,
        evaluator.augmentation,
    )


def _from_specialized():
    import keras

    from ofa_tf import interop, zoo
    from ofa_tf.common import InputError
    from ofa_tf.data import PUBLISHED, Augmentation, load

    from .finetune_start import FinetuneStart
    from .opening import read_specialized

    for flag in (_SOURCE.run_dir, _SOURCE.supernet, _SOURCE.stage, _ARCH, _RESOLUTION):
        if flag.value is not None:
            raise InputError(f"--{flag.name}: --specialized says already what is fine-tuned; leave --{flag.name} out")
    net = read_specialized(_SPECIALIZED.value)
    if net.name not in zoo.names() and _CHECKPOINT.value is None:
        raise InputError(f"--specialized={_SPECIALIZED.value}: a net.config comes without weights; give --checkpoint")
    dataset = load(_SOURCE.dataset.value or "folder", _SOURCE.data_dir.value, _SOURCE.validation.value)
    print(dataset.found(), file=sys.stderr)
    path = _CHECKPOINT.value or interop.published_file(net.name)
    model = net.build(interop.class_count(path))
    interop.load_specialized_checkpoint(model, net.blocks, path)
    if model.output_shape[-1] != dataset.num_classes:
        published = {layer.name: layer for layer in model.layers}
        # A new classifier's weights are drawn: each process draws the same, or none could resume another's.
        keras.utils.set_random_seed(_SEED.value)
        model = net.build(dataset.num_classes)
        for layer in model.layers:
            if layer.weights and layer.name != "head_classifier":
                layer.set_weights(published[layer.name].get_weights())
    blocks = net.space.replace(num_classes=dataset.num_classes).blocks(net.arch)
    preprocessing = dataclasses.replace(PUBLISHED, resize=_SOURCE.resize.value or PUBLISHED.resize)
    return FinetuneStart(model, blocks, dataset, preprocessing, Augmentation())


def _export(start, precision, form):
    import numpy as np

    from ofa_tf import deploy
    from ofa_tf.data import calibration_batches, evaluation_batches
    from ofa_tf.data.names import label_facts

    side = start.blocks[0].input_size
    crop, resize = start.preprocessing.crop_fraction, start.preprocessing.resize
    training = calibration_batches(
        start.dataset, resolution=side, augmentation=start.augmentation, images=200, batch_size=50, resize=resize
    )
    held_out = evaluation_batches(
        start.dataset, "validation", resolution=side, batch_size=50, crop_fraction=crop, resize=resize
    )
    images, labels = (np.concatenate([np.asarray(part) for part in parts]) for parts in zip(*held_out, strict=True))
    facts = {
        **label_facts(start.dataset),
        "checked": {"split": "validation"},
        "provenance": {"data": start.dataset.digest, "fine-tuned": f"{_EPOCHS.value} epochs, tools.finetune"},
    }
    weights = {layer.name: layer.get_weights() for layer in start.model.layers if layer.weights}
    return deploy.Network(start.blocks, weights, start.preprocessing, facts).export(
        _TFLITE.value,
        precision,
        form=form,
        max_drop=_MAX_DROP.value,
        representative_images=np.concatenate([np.asarray(batch) for batch, _ in training]),
        check_images=images,
        check_labels=labels,
    )


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
