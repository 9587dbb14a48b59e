"""Runs a .tflite file in the runtime of microcontrollers (tflite-micro) and says whether it fits a board.

    python -m mobile_bench.microcontroller --model=net.tflite --max_arena_bytes=220e3 --max_model_bytes=900e3 \\
        --c_array=firmware/net.cc

Prints the bytes of SRAM (the arena: the activations at their peak, and what the runtime keeps about each layer), the
bytes of flash (the file), and on how many images the file gives the same class as in LiteRT. The images are random
unless --images names a .npy file of them, uint8 (N, height, width, 3). A file over a limit, or one that the runtime
refuses, ends with one line and an exit code above 0. With --c_array, a file inside the limits is written as a C array,
with the size of its arena as a constant in the header beside it.

The arena is that of this machine of 64 bits and of the reference kernels; a board needs a little less, see
docs/microcontrollers.md. The stack, the application and the runtime's own code come on top of both figures. Needs
tflite-micro (pip install --pre tflite-micro).
"""

from absl import flags

from ofa_tf.common import cli

_MODEL = flags.DEFINE_string("model", None, "the .tflite file, int8 or float32", required=True)
_MAX_ARENA_BYTES = flags.DEFINE_float("max_arena_bytes", None, "limit of the arena: SRAM", lower_bound=1)
_MAX_MODEL_BYTES = flags.DEFINE_float("max_model_bytes", None, "limit of the file: flash", lower_bound=1)
_IMAGES = flags.DEFINE_string("images", None, "a .npy file with images, random ones unless given")
_COUNT = flags.DEFINE_integer("count", 20, "random images, or of the file's the first so many", lower_bound=1)
_C_ARRAY = flags.DEFINE_string("c_array", None, "a .cc or .c file for the model, none unless given")
_OUTPUT = flags.DEFINE_string("output", None, "a JSON file for the result, none unless given")


def main(argv):
    """Runs, compares and judges."""
    del argv
    import numpy as np

    from ofa_tf.common import OfaError, check_writable, write_json
    from ofa_tf.deploy import Runner, run_micro, write_c_array
    from ofa_tf.deploy.micro_runtime import check_c_array
    from ofa_tf.devices.measure import random_input

    if _OUTPUT.value:
        check_writable(_OUTPUT.value)
    if _C_ARRAY.value:
        check_c_array(_C_ARRAY.value)
    path = _MODEL.value
    # In a process of its own, and so before the file is opened in this one.
    run_micro(path)
    runner = Runner(path)
    if _IMAGES.value is None:
        rng = np.random.default_rng(0)
        images = np.concatenate([random_input(runner, rng) for _ in range(_COUNT.value)])
    else:
        images = _read_images(_IMAGES.value, runner)[: _COUNT.value]
    expected = runner.predict(images)
    run = run_micro(path, images)
    found, expected = (outputs.reshape(len(images), -1) for outputs in (run.outputs, expected))
    same = int((found.argmax(-1) == expected.argmax(-1)).sum())
    result = {
        "model": path,
        "model_bytes": run.model_bytes,
        "arena_bytes": run.arena_bytes,
        "peak_memory_bytes": run.head_bytes,
        "tail_bytes": run.tail_bytes,
        "board_arena_bytes": run.board_arena_bytes,
        "images": len(images),
        "same_class_as_litert": same,
        "largest_difference": float(np.abs(found - expected).max()),
    }
    print(
        f"{path}: runs; SRAM {run.arena_bytes} bytes (activations {run.head_bytes}, about layers {run.tail_bytes}; on "
        f"a board about {run.board_arena_bytes}), flash {run.model_bytes} bytes; the same class as LiteRT on {same} of "
        f"{len(images)} images, outputs differ by at most {result['largest_difference']:.4g}"
    )
    if _OUTPUT.value:
        write_json(_OUTPUT.value, result)
    for what, taken, limit in (
        ("arena", run.arena_bytes, _MAX_ARENA_BYTES.value),
        ("file", run.model_bytes, _MAX_MODEL_BYTES.value),
    ):
        if limit is not None and taken > limit:
            raise OfaError(
                f"{path}: its {what} takes {taken} bytes, at most {limit:.0f} were allowed; search with lower limits"
            )
    if _MAX_ARENA_BYTES.value is not None:
        # What was added up is shown to be enough.
        run_micro(path, images[:1], arena_bytes=int(_MAX_ARENA_BYTES.value))
    if _C_ARRAY.value:
        write_c_array(runner.model_bytes, _C_ARRAY.value, arena_bytes=run.arena_bytes)


def _read_images(path, runner):
    """The array of images in a .npy file."""
    import numpy as np

    from ofa_tf.common import InputError, brief

    expected = f"expected (N, {', '.join(map(str, runner.input_shape[1:]))}) of {runner.input_type}, written by np.save"
    try:
        images = np.load(path, allow_pickle=False)
    # On a damaged file zipfile and NumPy raise nearly everything there is.
    except Exception as error:
        raise InputError(f"{path}: cannot be read as images ({brief(error)}); {expected}") from error
    if not isinstance(images, np.ndarray):
        raise InputError(f"{path}: holds several arrays by name, as .npz does; {expected}")
    if not images.ndim or not len(images):
        raise InputError(f"{path}: holds no images, but an array {images.shape}; {expected}")
    return images


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
