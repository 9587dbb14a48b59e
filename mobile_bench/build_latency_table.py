"""Measures every distinct block of a space on a device and writes the latency table that searches predict from.

    python -m mobile_bench.build_latency_table --device=host --space=ofa_tiny --precision=int8 --output=host_int8.json

Each block becomes a .tflite model of its own, with random weights, and is timed among as many others as a network has
(mobile_bench/measure.py says why and how): at least 56 runs of each, and 0.1 s of each row of blocks.
The table is written every few seconds. After an interruption the same command goes on where it stopped.
How well the table predicts whole networks: python -m mobile_bench.verify.
"""

from absl import flags

from ofa_tf.common import InputError, cli
from ofa_tf.spaces.form import FORMS

_DEVICE = flags.DEFINE_string("device", "host", "what is measured; this version knows 'host', this machine")
_SPACE = flags.DEFINE_string("space", None, "name of the space, see ofa_tf.spaces.names()", required=True)
_NUM_CLASSES = flags.DEFINE_integer("num_classes", None, "outputs of the classifier; the space's own unless given")
_RESOLUTIONS = flags.DEFINE_list("resolutions", None, "image sides in pixels; all of the space's unless given")
_PRECISION = flags.DEFINE_string("precision", "int8", "float32, float16, dynamic or int8")
_THREADS = flags.DEFINE_integer("threads", 1, "threads of the interpreter")
_FORM = flags.DEFINE_enum("form", None, list(FORMS), "how networks are written; the precision's default unless given")
_OUTPUT = flags.DEFINE_string("output", None, "the table to write, or to go on with (.json)", required=True)


def main(argv):
    del argv
    from mobile_bench import host
    from ofa_tf import spaces

    host.check_device(_DEVICE.value)
    space = spaces.get(_SPACE.value, _NUM_CLASSES.value)
    resolutions = _resolutions(_RESOLUTIONS.value)

    from mobile_bench.table_builder import build_table

    table = build_table(space, resolutions, _PRECISION.value, _THREADS.value, _OUTPUT.value, form=_FORM.value)
    print(f"{_OUTPUT.value}: {len(table.blocks)} blocks, {table.precision}, on {table.versions['cpu']}")


def _resolutions(values: list[str] | None) -> list[int] | None:
    try:
        return None if values is None else [int(value) for value in values]
    except ValueError:
        raise InputError(f"--resolutions={','.join(values)!r}: expected whole numbers, for example 128,160") from None


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
