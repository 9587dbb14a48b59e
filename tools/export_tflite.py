"""Exports a sub-network of a trained run as a TFLite file, checked against the Keras model after writing.

    python -m tools.export_tflite --run_dir=RUN --arch=arch.json --precision=int8 --output=model.tflite
    python -m tools.export_tflite --supernet=ofa_mbv3_w1.2.npz --arch=arch.json --data_dir=imagenet --output=net.tflite

The file takes raw uint8 RGB images (1, r, r, 3) whatever the precision (--input_type for others); normalization is
inside. It gives probabilities, or what they are made of (--output_type=logits). int8 and int16x8 take their ranges from
augmented training images. The file is run through the interpreter on the validation split, with one and with several
threads, next to the Keras sub-network on the same images, before it gets its name; the figures are printed as JSON.
What apps' libraries read (TFLite's standard metadata, the classes' names) is put into the file; so are architecture,
accuracy and origin (ofa_tf.deploy.read_description), which stand on a page beside it, too (.md). --format=cc writes
the file as a C array as well; mobile_bench.microcontroller says what SRAM it needs.
"""

import json
import pathlib

from absl import flags

from ofa_tf.common import cli
from ofa_tf.common.form import FORMS, INPUT_OUTPUT_TYPES, OUTPUTS, PRECISIONS

from . import source_flags

_SOURCE = source_flags.define()
_ARCH = flags.DEFINE_string("arch", None, "largest, smallest, native, or an architecture's JSON file", required=True)
_RESOLUTION = flags.DEFINE_integer("resolution", None, "image side in pixels; the architecture's unless given")
_PRECISION = flags.DEFINE_enum(
    "precision", None, list(PRECISIONS), "of the file; what a search's result says, or int8, unless given"
)
_FORM = flags.DEFINE_enum(
    "form",
    None,
    list(FORMS),
    "how it is written; what a search's result says, or the precision's default, unless given",
)
_INPUT_TYPE = flags.DEFINE_enum(
    "input_type", "uint8", list(INPUT_OUTPUT_TYPES), "uint8: pixels; int8: pixel - 128; float32: (pixel - 128) / 128"
)
_OUTPUT_TYPE = flags.DEFINE_enum(
    "output_type",
    OUTPUTS[0],
    list(OUTPUTS),
    "probabilities: how sure it is of each class; logits: before the softmax; features: a backbone's maps",
)
_OUTPUT_DTYPE = flags.DEFINE_enum(
    "output_dtype", None, list(INPUT_OUTPUT_TYPES), "of its numbers; uint8 in int8 and float32 in others unless given"
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 1, "images that the file takes at once", lower_bound=1)
_IMAGES = flags.DEFINE_integer(
    "images", 1000, "validation images of the check, evenly spaced; of features at most 64", lower_bound=1
)
_MAX_DROP = flags.DEFINE_float(
    "max_drop",
    None,
    "the top-1 that the file may lose against Keras, 0..1 (not for features); unless given the precision's, and what "
    "chance explains",
    lower_bound=0.0,
    upper_bound=1.0,
)
_FORMAT = flags.DEFINE_enum(
    "format", "tflite", ["tflite", "cc"], "cc: C source with the file's bytes as well, for firmware"
)
_OUTPUT = flags.DEFINE_string("output", None, "the .tflite file, or the .cc file, to write", required=True)


def main(argv):
    """Exports."""
    del argv
    from ofa_tf.common import InputError
    from ofa_tf.deploy import write_c_array
    from ofa_tf.deploy.micro_runtime import check_c_array
    from ofa_tf.deploy.network import check_export
    from ofa_tf.specialize import export_subnet

    from .opening import read_arch, written_as

    output = model = pathlib.Path(_OUTPUT.value)
    if _FORMAT.value == "cc":
        if output.suffix != ".cc":
            raise InputError(f"--output={output}: expected a name that ends with .cc, as --format=cc asks for")
        check_c_array(output)
        model = output.with_suffix(".tflite")
    precision, form = written_as(_ARCH.value, _PRECISION.value, _FORM.value)
    options = {
        "outputs": _OUTPUT_TYPE.value,
        "input_type": _INPUT_TYPE.value,
        "output_type": _OUTPUT_DTYPE.value,
        "batch_size": _BATCH_SIZE.value,
        "max_drop": _MAX_DROP.value,
    }
    # Here, too: opening and calibrating a supernet takes long.
    check_export(model, precision, **options)
    opened = _SOURCE.open()
    arch = read_arch(opened.net.space, _ARCH.value, _RESOLUTION.value)
    report = export_subnet(
        opened,
        arch,
        model,
        split="validation",
        limit=_IMAGES.value,
        precision=precision,
        form=form,
        **options,
    )
    if _FORMAT.value == "cc":
        write_c_array(model.read_bytes(), output)
    print(json.dumps(report.to_dict()))


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
