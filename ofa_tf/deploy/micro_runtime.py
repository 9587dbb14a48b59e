"""TFLite files in the runtime of microcontrollers, tflite-micro, on this machine."""

import dataclasses
import importlib.util
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

import numpy as np

from ofa_tf.common import InputError, OfaError
from ofa_tf.deploy import micro_child
from ofa_tf.deploy.runner import read_model

_CHILD = "import runpy, sys; runpy.run_path(sys.argv[1])['run'](*sys.argv[2:])"
# More than any model for a microcontroller takes; only what is used is touched.
_ARENA_BYTES = 1 << 26
_WORDS = 300


@dataclasses.dataclass(frozen=True)
class MicroRun:
    """What the microcontroller's runtime did with a model, and the memory it took.

    Args:
        outputs: float32 (N, ...), dequantized: one for each image; None where no images were given.
        model_bytes: of the file: flash, where it is read in place.
        head_bytes: of the arena: activations at their peak. The same on every machine.
        tail_bytes: of the arena: what the runtime keeps about each layer, on this machine of 64 bits. Most of it is a
            multiplier and a shift for every output channel, 8 bytes on every machine.
        board_tail_bytes: the same where a pointer takes 4 bytes, as on a microcontroller (estimated: the runtime's
            lists of tensors and operations are pointers but for a few numbers, and take half).
    """

    outputs: np.ndarray | None
    model_bytes: int
    head_bytes: int
    tail_bytes: int
    board_tail_bytes: int

    @property
    def arena_bytes(self) -> int:
        """Head and tail on this machine: SRAM, and on a board no more than this."""
        return self.head_bytes + self.tail_bytes

    @property
    def board_arena_bytes(self) -> int:
        """Head and tail on a microcontroller, estimated."""
        return self.head_bytes + self.board_tail_bytes


def run_micro(
    model: str | os.PathLike | bytes,
    images: np.ndarray | None = None,
    *,
    arena_bytes: int | None = None,
    timeout_s: float = 600.0,
) -> MicroRun:
    """Runs a model in the microcontroller's runtime, in a process of its own: a bad file cannot end this one.

    The runtime's reference kernels are used. Kernels for one processor (CMSIS-NN) may ask for more memory.

    Args:
        model: the path of a `.tflite` file, or its bytes.
        images: (N, height, width, channels) of the input's type, uint8 for exported networks. Unless given, the
            runtime only makes the model ready: it places its tensors, and the memory is known.
        arena_bytes: what the runtime may use; it refuses a model that needs more. As much as it wants unless given.
        timeout_s: after so long it counts as failed.

    Raises:
        InputError: tflite-micro is not installed, or it does not run the file: an operation or a type that it lacks,
            too small an arena, damage. Exported float32 files become ready but do not run: it lacks their conversion
            from uint8.
        OfaError: it took too long.

    Example:
        run = run_micro("model.tflite", images)
        print(run.head_bytes, run.outputs.argmax(-1))
    """
    if importlib.util.find_spec("tflite_micro") is None:
        raise InputError(
            "the microcontroller's runtime, tflite-micro, is not installed; install it with: pip install --pre "
            "tflite-micro"
        )
    data, source = read_model(model)
    if not data:
        raise InputError(f"{source}: is empty, expected a TFLite model; export it anew")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "model.tflite").write_bytes(data)
        if images is not None:
            np.save(folder / "images.npy", np.asarray(images), allow_pickle=False)
        words = _run(source, folder, arena_bytes, timeout_s)
        outputs = None if images is None else _outputs(folder / "result.npz")
    tail = _figure(words, "Arena allocation tail")
    pointers = _figure(words, "'TfLiteEvalTensor data' used") + _figure(words, "'NodeAndRegistration struct' used")
    head = _figure(words, "Arena allocation head")
    return MicroRun(outputs, len(data), head, tail, tail - pointers // 2)


def _outputs(path: pathlib.Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as result:
        outputs, scale, zero_point = (result[key] for key in ("outputs", "scale", "zero_point"))
    return ((outputs - zero_point) * scale if scale[0] else outputs).astype(np.float32)


def _run(source: str, folder: pathlib.Path, arena_bytes: int | None, timeout_s: float) -> str:
    command = [sys.executable, "-P", "-c", _CHILD, micro_child.__file__, str(folder), str(arena_bytes or _ARENA_BYTES)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout_s, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        raise OfaError(
            f"{source}: the microcontroller's runtime was not done in {timeout_s:g} s; give fewer images"
        ) from None
    words = (done.stdout + b"\n" + done.stderr).decode(errors="replace")
    if done.returncode == 0:
        return words
    # Its figures come before what went wrong.
    lines = (line for line in words.splitlines() if not line.startswith("[RecordingMicroAllocator]"))
    said = " ".join(" ".join(lines).split())[:_WORDS] or "it said nothing"
    if done.returncode < 0:
        said = f"ended by {signal.Signals(-done.returncode).name}: {said}"
    inside = f" in an arena of {arena_bytes} bytes" if arena_bytes else ""
    larger = ", or give it a larger arena" if arena_bytes else ""
    raise InputError(
        f"{source}: the microcontroller's runtime does not run it{inside} ({said}); export it anew in int8{larger}"
    )


def _figure(words: str, what: str) -> int:
    found = re.search(rf"{re.escape(what)} (\d+) bytes", words)
    if found is None:
        raise OfaError(f"this version of tflite-micro does not tell its {what!r}; install that of the lock file")
    return int(found[1])
