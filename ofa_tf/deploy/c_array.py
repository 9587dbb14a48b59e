"""TFLite files as C source, for firmware that has no file system."""

import hashlib
import os
import pathlib
import re

from ofa_tf.common import InputError, write_text

_PER_LINE = 16


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
    if path.suffix not in (".cc", ".cpp", ".c"):
        raise InputError(f"{path}: a C array goes into a file that ends with .cc, .cpp or .c; rename the output")
    header = path.with_suffix(".h")
    source, declarations = c_array(model, name or _identifier(path.stem), header=header.name, arena_bytes=arena_bytes)
    write_text(header, declarations)
    write_text(path, source)
    return header


def c_array(model: bytes, name: str, *, header: str, arena_bytes: int | None = None) -> tuple[str, str]:
    """The source and the header of `write_c_array`, as text.

    The array `<name>_tflite` is aligned as the runtime reads it, and constant, so that it stays in flash;
    `<name>_tflite_size` is its length. Both compile as C11 and as C++11.

    Args:
        model: the TFLite file's bytes.
        name: a C identifier.
        header: the header's file name, which the source includes.
        arena_bytes: as in `write_c_array`.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise InputError(f"C array: name is {name!r}, expected letters, digits and _, a letter first")
    if not model:
        raise InputError("C array: the model is empty, expected the bytes of a TFLite file")
    if arena_bytes is not None and arena_bytes < 1:
        raise InputError(f"C array: arena_bytes is {arena_bytes}, expected at least 1")
    told = f"// A TFLite model of {len(model)} bytes, SHA-256 {hashlib.sha256(model).hexdigest()}.\n"
    lines = (
        ", ".join(f"0x{byte:02x}" for byte in model[start : start + _PER_LINE]) + ",\n"
        for start in range(0, len(model), _PER_LINE)
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
