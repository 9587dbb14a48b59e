"""Trains a sub-network with the rounding of an int8 file inside, and writes the file, checked on the validation split.

    python -m tools.quantize_aware --run_dir=RUN --arch=arch.json --output=model.tflite
    python -m tools.quantize_aware --supernet=ofa_imagenette_mbv3 --arch=smallest --data_dir=DIR --output=model.tflite

For where the int8 file of tools.export_tflite loses more than you want. The sub-network learns its own float outputs
on training images for a few epochs; each epoch's figures and those of the check are printed as JSON. The file is of the
same kind: raw uint8 RGB images (1, r, r, 3) in, uint8 probabilities or logits out. The state after each epoch is kept
in OUTPUT.checkpoint.npz: the same command resumes. Needs the extra `qat` (pip install ofa_tf[qat]).
"""

import json
import sys

from absl import flags

from ofa_tf.common import cli
from ofa_tf.common.form import FORMS, OUTPUTS, form_of

from . import source_flags

_SOURCE = source_flags.define()
_ARCH = flags.DEFINE_string("arch", None, "largest, smallest, native, or an architecture's JSON file", required=True)
_RESOLUTION = flags.DEFINE_integer("resolution", None, "image side in pixels; the architecture's unless given")
_EPOCHS = flags.DEFINE_integer("epochs", 2, "passes over the training images", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "images per step", lower_bound=1)
_LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-4, "of the first step", lower_bound=0.0)
_SEED = flags.DEFINE_integer("seed", 0, "of data order and augmentation", lower_bound=0)
_FORM = flags.DEFINE_enum(
    "form",
    None,
    [name for name, form in FORMS.items() if form.hard_swish != "fused"],
    "how it is written; what a search's result says, or folded-rows, unless given",
)
_OUTPUT_TYPE = flags.DEFINE_enum("output_type", OUTPUTS[0], list(OUTPUTS[:2]), "what the file gives")
_IMAGES = flags.DEFINE_integer("images", 1000, "validation images of the check, evenly spaced", lower_bound=1)
_MAX_DROP = flags.DEFINE_float(
    "max_drop",
    None,
    "the top-1 that the file may lose against Keras, 0..1; int8's unless given",
    lower_bound=0.0,
    upper_bound=1.0,
)
_OUTPUT = flags.DEFINE_string("output", None, "the .tflite file", required=True)


def main(argv):
    """Trains and writes."""
    del argv
    from ofa_tf.deploy import QuantizationRecipe
    from ofa_tf.deploy.network import check_export
    from ofa_tf.deploy.qat import check_form
    from ofa_tf.specialize import train_quantized

    from .opening import read_arch, written_as

    _, searched = written_as(_ARCH.value, "int8", None)
    form = form_of("int8", _FORM.value, table_form=searched, trained=True)
    if searched not in (None, form):
        print(f"written in the form {form}, searched was {searched}: its costs may be others", file=sys.stderr)
    # Here, too: opening and calibrating a supernet takes long.
    check_form(form)
    check_export(_OUTPUT.value, "int8", max_drop=_MAX_DROP.value)
    opened = _SOURCE.open()
    report = train_quantized(
        opened,
        read_arch(opened.net.space, _ARCH.value, _RESOLUTION.value),
        _OUTPUT.value,
        split="validation",
        limit=_IMAGES.value,
        recipe=QuantizationRecipe(
            epochs=_EPOCHS.value, batch_size=_BATCH_SIZE.value, learning_rate=_LEARNING_RATE.value, seed=_SEED.value
        ),
        form=form,
        outputs=_OUTPUT_TYPE.value,
        max_drop=_MAX_DROP.value,
        checkpoint=f"{_OUTPUT.value}.checkpoint.npz",
        after_epoch=lambda epoch, figures: print(json.dumps({"epoch": epoch, **figures}), flush=True),
    )
    print(json.dumps(report.to_dict()))


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
