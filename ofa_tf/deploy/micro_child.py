"""What `micro_runtime` runs in a process of its own, by this file's path: the microcontroller's runtime with a model.

Nothing of this project is imported: the package would bring TensorFlow.
"""

import pathlib
import sys

import numpy as np

_REFUSED_EXIT_CODE = 3


def run(folder: str, arena_bytes: str) -> None:
    """Runs a model and exits; what the runtime says goes to stdout and stderr.

    Args:
        folder: holds model.tflite, and may hold images.npy; then result.npz is written there.
        arena_bytes: of the arena.
    """
    try:
        _run(pathlib.Path(folder), int(arena_bytes))
    except Exception as error:
        # A damaged file makes the runtime's reader raise anything.
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        sys.exit(_REFUSED_EXIT_CODE)


def _run(folder: pathlib.Path, arena_bytes: int) -> None:
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes((folder / "model.tflite").read_bytes(), arena_size=arena_bytes)
    interpreter.print_allocations()
    if not (folder / "images.npy").exists():
        return
    inputs, outputs = interpreter.get_input_details(0), interpreter.get_output_details(0)
    shape, dtype = tuple(inputs["shape"].tolist()), np.dtype(inputs["dtype"])
    images = np.load(folder / "images.npy", allow_pickle=False)
    if images.shape[1:] != shape[1:] or images.dtype != dtype:
        raise ValueError(f"images are {images.dtype} {images.shape[1:]}, the model takes {dtype} {shape[1:]}")
    found = []
    for image in images:
        interpreter.set_input(image[None], 0)
        interpreter.invoke()
        found.append(interpreter.get_output(0)[0])
    quantization = outputs["quantization_parameters"]
    np.savez(
        folder / "result.npz",
        outputs=np.stack(found),
        scale=np.float32(quantization["scales"][:1] if len(quantization["scales"]) else [0.0]),
        zero_point=np.int64(quantization["zero_points"][:1] if len(quantization["zero_points"]) else [0]),
    )
