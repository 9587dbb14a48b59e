"""TFLite files for microcontrollers: run by their runtime, tflite-micro, on this machine; and written as C source."""

import dataclasses
import hashlib
import importlib.util
import os
import pathlib
import re
import sys
import tempfile

import numpy as np

from ofa_tf.common import InputError, OfaError, brief, check_writable, write_text
from ofa_tf.common.child import Answer, Child, ChildError
from ofa_tf.deploy.runner import read_model

# Another function takes its place in tests.
_RUN = f"{__name__}:run_in_child"
# More than any model for a microcontroller takes; only what is used is touched.
_ARENA_BYTES = 1 << 26
_QUOTED_CHARACTERS = 300
_BYTES_PER_LINE = 16
# How source and header of an array begin.
_TOLD = "// A TFLite model of"


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
    """What the runtime said while it ran the model of a folder."""
    arguments = str(folder), str(arena_bytes or _ARENA_BYTES)
    with Child("the microcontroller's runtime", _RUN, *arguments, timeout_seconds=timeout_s) as child:
        try:
            child.answer()
            return child.said()
        except ChildError as error:
            failed = error
    if failed.timed_out:
        raise OfaError(f"{source}: the microcontroller's runtime was not done in {timeout_s:g} s; give fewer images")
    # Its figures come before what went wrong.
    lines = (line for line in failed.text.splitlines() if not line.startswith("[RecordingMicroAllocator]"))
    said = brief(" ".join(lines), _QUOTED_CHARACTERS) or "it said nothing"
    inside = f" in an arena of {arena_bytes} bytes" if arena_bytes else ""
    larger = ", or give it a larger arena" if arena_bytes else ""
    raise InputError(
        f"{source}: the microcontroller's runtime does not run it{inside} ({failed.ending}: {said}); export it anew in "
        f"int8{larger}"
    )


def run_in_child(answer: Answer, folder: str, arena_bytes: str) -> None:
    """Runs the model of a folder in this process, on its images if there are any."""
    try:
        _invoke(pathlib.Path(folder), int(arena_bytes))
    except Exception as error:
        # A damaged file makes the runtime's reader raise anything.
        sys.exit(f"{type(error).__name__}: {error}")
    answer()


def _invoke(folder: pathlib.Path, arena_bytes: int) -> None:
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


def _figure(words: str, what: str) -> int:
    found = re.search(rf"{re.escape(what)} (\d+) bytes", words)
    if found is None:
        raise OfaError(f"this version of tflite-micro does not tell its {what!r}; install that of the lock file")
    return int(found[1])


def write_c_array(
    model: bytes, path: str | os.PathLike, *, name: str | None = None, arena_bytes: int | None = None
) -> pathlib.Path:
    """Writes a TFLite file as a C array, and beside it the header that declares it.

    Equal arguments give equal files.

    Args:
        model: the TFLite file's bytes.
        path: the source, for example "model.cc" (or "model.c"); the header gets the suffix ".h".
        name: of the array, a C identifier; made from the file's name unless given.
        arena_bytes: what the interpreter's arena needs, for a constant in the header; none unless given.

    Returns:
        The header's path.

    Raises:
        InputError: a name or a path is unusable, or the model is empty.

    Example:
        write_c_array(pathlib.Path("model.tflite").read_bytes(), "firmware/model.cc", arena_bytes=180_000)
    """
    path = pathlib.Path(path)
    header = check_c_array(path)
    source, declarations = c_array(model, name or _identifier(path.stem), header=header.name, arena_bytes=arena_bytes)
    write_text(header, declarations)
    write_text(path, source)
    return header


def check_c_array(path: str | os.PathLike) -> pathlib.Path:
    """Raises `InputError` where an array and its header cannot be written, or would take the place of something else.

    Returns:
        The header's path.
    """
    path = pathlib.Path(path)
    check_writable(path)
    if path.suffix not in (".cc", ".cpp", ".c"):
        raise InputError(f"{path}: a C array goes into a file that ends with .cc, .cpp or .c; rename the output")
    header = path.with_suffix(".h")
    check_writable(header)
    if header.exists() and not header.read_bytes().startswith(_TOLD.encode()):
        raise InputError(
            f"{header}: is no header of a C array, and that of {path.name} would take its place; move it, or give the "
            f"array's file another name"
        )
    return header


def c_array(model: bytes, name: str, *, header: str, arena_bytes: int | None = None) -> tuple[str, str]:
    """The source and the header of `write_c_array`, as text; both compile as C11 and as C++11.

    The array `<name>_tflite` is aligned as the runtime reads it, and constant, so that it stays in flash;
    `<name>_tflite_size` is its length.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise InputError(f"C array: name is {name!r}, expected letters, digits and _, a letter first")
    if not model:
        raise InputError("C array: the model is empty, expected the bytes of a TFLite file")
    if arena_bytes is not None and arena_bytes < 1:
        raise InputError(f"C array: arena_bytes is {arena_bytes}, expected at least 1")
    told = f"{_TOLD} {len(model)} bytes, SHA-256 {hashlib.sha256(model).hexdigest()}.\n"
    lines = (
        ", ".join(f"0x{byte:02x}" for byte in model[start : start + _BYTES_PER_LINE]) + ",\n"
        for start in range(0, len(model), _BYTES_PER_LINE)
    )
    source = (
        f'{told}\n#include "{header}"\n\n#ifndef __cplusplus\n#include <stdalign.h>\n#endif\n\n'
        f"alignas(16) const unsigned char {name}_tflite[] = {{\n{''.join(lines)}}};\n"
        f"const unsigned int {name}_tflite_size = {len(model)}u;\n"
    )
    guard, arena = f"{name.upper()}_TFLITE_H_", ""
    if arena_bytes is not None:
        arena = (
            f"\n// What the arena of tflite-micro's interpreter needs for this model: its activations at their peak,\n"
            f"// and what is kept about its layers. Kernels other than the reference ones may need more.\n"
            f"#define {name.upper()}_ARENA_BYTES {arena_bytes}\n"
        )
    declarations = (
        f"{told}\n#ifndef {guard}\n#define {guard}\n{arena}\n"
        f'#ifdef __cplusplus\nextern "C" {{\n#endif\n\n'
        f"extern const unsigned char {name}_tflite[];\nextern const unsigned int {name}_tflite_size;\n\n"
        f"#ifdef __cplusplus\n}}\n#endif\n\n#endif  // {guard}\n"
    )
    return source, declarations


def _identifier(stem: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_]", "_", stem)
    return name if re.match(r"[A-Za-z]", name) else f"model_{name}"
