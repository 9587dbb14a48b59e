"""What every room may use: errors for users, atomic files, files with a header. Imports no other room."""

from ofa_tf.common.commands import as_called
from ofa_tf.common.errors import DiskFullError, InputError, OfaError, brief, printable
from ofa_tf.common.files import (
    append_json_line,
    atomic_path,
    check_writable,
    file_sha256,
    load_npz,
    read_json,
    read_json_lines,
    save_npz,
    write_json,
    write_text,
)
from ofa_tf.common.record import RecordFormat

__all__ = [
    "DiskFullError",
    "InputError",
    "OfaError",
    "RecordFormat",
    "append_json_line",
    "as_called",
    "atomic_path",
    "brief",
    "check_writable",
    "file_sha256",
    "load_npz",
    "printable",
    "read_json",
    "read_json_lines",
    "save_npz",
    "write_json",
    "write_text",
]
