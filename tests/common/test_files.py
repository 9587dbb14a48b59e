"""A killed writer leaves no half-written file, and a damaged file is named in one line."""

import errno
import json
import os
import pathlib
import stat
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_tf import common
from ofa_tf.common import InputError, OfaError, locks
from ofa_tf.common.files import parse_yaml

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=8,
)


def assert_one_line(error, *parts):
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_atomic_path_takes_its_place_only_when_the_block_ends_well(tmp_path):
    path = tmp_path / "new" / "model.tflite"
    with common.atomic_path(path) as temporary:
        temporary.write_bytes(b"whole")
        assert not path.exists()

    def write_half():
        with common.atomic_path(path) as temporary:
            temporary.write_bytes(b"ha")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_bytes() == b"whole"
    assert os.listdir(path.parent) == ["model.tflite"]


def test_a_place_is_tried_without_a_trace(tmp_path):
    """Before hours of work: what stands there stays, a new name leaves nothing."""
    path = tmp_path / "result.json"
    common.check_writable(path)
    assert os.listdir(tmp_path) == []
    path.write_text("old")
    common.check_writable(path)
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["result.json"])
    with pytest.raises(InputError, match="cannot be written"):
        common.check_writable("/dev/null/result.json")


def test_only_files_are_replaced(tmp_path):
    """Root may replace `/dev/null`, for the whole system; what a link leads to is the file that is meant."""
    os.mkfifo(device := tmp_path / "device")
    for path in ("/dev/null", device):
        with pytest.raises(InputError) as error:
            common.write_text(path, "new")
        assert_one_line(error, str(path), "cannot be replaced")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert stat.S_ISFIFO(os.stat(device).st_mode)
    (file := tmp_path / "disk" / "predictor.npz").parent.mkdir()
    file.write_text("old")
    (link := tmp_path / "predictor.npz").symlink_to(file)
    common.write_text(link, "new")
    assert (link.is_symlink(), file.read_text(), os.listdir(file.parent)) == (True, "new", ["predictor.npz"])


def test_results_are_readable_as_any_other_file(tmp_path):
    (ordinary := tmp_path / "ordinary").write_text("")
    common.write_text(tmp_path / "result", "text")
    assert stat.S_IMODE((tmp_path / "result").stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    """The work failed, which is nobody's mistake: exit code 1, what stood there before stays."""
    path = tmp_path / "table.json"
    common.write_text(path, "old")

    def write_half():
        with common.atomic_path(path) as temporary:
            temporary.write_bytes(b"ha")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OfaError) as error:
        write_half()
    assert_one_line(error, str(path), "No space left on device", "free some of the disk")
    assert error.value.exit_code == 1
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["table.json"])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux's full device")
def test_a_line_that_finds_no_room_is_named():
    with pytest.raises(OfaError, match="/dev/full: cannot be written"):
        common.append_json_line("/dev/full", {"seconds": 1})


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as error:
        common.write_json(tmp_path / "file" / "result.json", {})
    assert_one_line(error, "result.json", "cannot be written")


@given(JSON)
def test_json_is_read_as_written(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "value.json"
    common.write_json(path, value)
    assert common.read_json(path) == value


@pytest.mark.parametrize("text", ["", '{"a": 1', "[" * 100_000, '{"b": {"a": 1, "a": 2}}'])
def test_damaged_json_is_named(tmp_path, text):
    (path := tmp_path / "table.json").write_text(text)
    with pytest.raises(InputError) as error:
        common.read_json(path, "latency table")
    assert_one_line(error, str(path), "not a whole latency table")


def test_yaml_is_read_without_double_keys():
    """At every depth, and in what an alias leads to; a number and a text are two keys."""
    assert parse_yaml("a: &x {b: 1, 1: 2, '1': 3}\nc: [*x, *x]")["c"][1] == {"b": 1, 1: 2, "1": 3}
    assert parse_yaml("") is None
    for text in ("a: 1\na: 2", "a: [{b: {c: 1, c: 2}}]", "x: &x {c: 1, c: 2}\ny: *x"):
        with pytest.raises(ValueError, match="occurs twice"):
            parse_yaml(text)


@pytest.mark.parametrize(
    ("number", "found"),
    [(errno.EWOULDBLOCK, InputError), (errno.EACCES, InputError), (errno.ENOLCK, None), (errno.EIO, OSError)],
)
def test_a_lock_is_held_or_unknown_to_the_drive(tmp_path, monkeypatch, number, found):
    """What another process holds is refused; a drive without locks costs a warning; another error is one."""

    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    expected = pytest.warns(UserWarning, match="cannot be locked") if found is None else pytest.raises(found)
    with expected, locks.locked(tmp_path / "lock", "held"):
        assert found is None


def test_what_is_not_a_text_file_is_named(tmp_path):
    (binary := tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    for path, part in ((tmp_path, "is a folder"), (tmp_path / "absent.json", "no such file"), (binary, "cannot be")):
        with pytest.raises(InputError) as error:
            common.read_json(path)
        assert_one_line(error, str(path), part)


@given(st.lists(JSON, max_size=4), st.text(alphabet=string.ascii_letters + "{[", max_size=8))
def test_json_lines_drop_only_the_line_a_killed_writer_left(tmp_path_factory, values, half):
    path = tmp_path_factory.mktemp("lines") / "metrics.jsonl"
    path.touch()
    for value in values:
        common.append_json_line(path, value)
    with path.open("a") as file:
        file.write(half)
    assert common.read_json_lines(path) == values


@given(st.lists(JSON, max_size=4), st.data())
def test_a_line_goes_behind_the_whole_ones(tmp_path_factory, values, data):
    """Cut at any byte, as by a kill, and appended to: the whole lines are there, and the new one.

    An object that lacks only its newline is whole.
    """
    path = tmp_path_factory.mktemp("lines") / "metrics.jsonl"
    path.touch()
    for value in values:
        common.append_json_line(path, value)
    written = path.read_bytes()
    kept = written[: data.draw(st.integers(0, len(written)))]
    path.write_bytes(kept)
    count, last = kept.count(b"\n"), kept[kept.rfind(b"\n") + 1 :]
    ended = last.startswith(b"{") and last + b"\n" == written[len(kept) - len(last) : len(kept) + 1]
    whole = values[: count + ended]
    assert common.read_json_lines(path) == whole
    common.append_json_line(path, {"step": 1})
    assert common.read_json_lines(path) == [*whole, {"step": 1}]
    assert path.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])


def test_a_last_line_without_its_newline_counts_where_it_is_whole(tmp_path):
    """As people and `"\\n".join` write files; empty lines at the end are none."""
    (path := tmp_path / "pairs.jsonl").write_text('{"step": 1}\n{"step": 2}')
    assert common.read_json_lines(path) == [{"step": 1}, {"step": 2}]
    common.append_json_line(path, {"step": 3})
    path.write_text(path.read_text() + "\n \n")
    assert common.read_json_lines(path) == [{"step": 1}, {"step": 2}, {"step": 3}]


def test_a_damaged_json_line_is_named_by_its_number(tmp_path):
    (path := tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 1}) + "\n{half\n{}\n")
    with pytest.raises(InputError) as error:
        common.read_json_lines(path)
    assert_one_line(error, str(path), "line 2")
    # Else the lines behind it would be named by other numbers.
    path.write_text('{"step": 1}\n\n{"step": 2}\n')
    with pytest.raises(InputError) as error:
        common.read_json_lines(path)
    assert_one_line(error, str(path), "line 2")


@pytest.mark.parametrize("compress", [False, True])
def test_arrays_are_read_as_written(tmp_path, compress):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array(["x", "yz"])}
    common.save_npz(tmp_path / "arrays.npz", arrays, compress=compress)
    read = common.load_npz(tmp_path / "arrays.npz")
    assert list(read) == ["a", "b"]
    np.testing.assert_array_equal(read["a"], arrays["a"])
    np.testing.assert_array_equal(read["b"], arrays["b"])


@pytest.mark.parametrize("keep", [0, 10, 0.5, -1])
def test_a_truncated_npz_is_named(tmp_path, keep):
    path = tmp_path / "arrays.npz"
    common.save_npz(path, {"a": np.arange(1000)})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(InputError) as error:
        common.load_npz(path, "checkpoint")
    assert_one_line(error, str(path), "not a whole checkpoint")


@pytest.mark.parametrize("content", [b"", b"P", b'{"space": 1}', b"\x80\x04K\x01."])
def test_another_file_is_no_npz(tmp_path, content):
    """Nobody is advised to load a pickle."""
    path = tmp_path / "arrays.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"not a whole checkpoint \(no \.npz archive") as found:
        common.load_npz(path, "checkpoint")
    assert "pickle" not in str(found.value)


def test_a_changed_byte_in_an_npz_is_noticed(tmp_path):
    path = tmp_path / "arrays.npz"
    common.save_npz(path, {"a": np.arange(1000)})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError):
        common.load_npz(path)


def test_an_npz_of_objects_is_refused(tmp_path):
    """Reading it would unpickle, that is, run what is in it."""
    path = tmp_path / "objects.npz"
    np.savez(path, a=np.array([{}], dtype=object))
    with pytest.raises(InputError):
        common.load_npz(path)


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert common.file_sha256(tmp_path / "abc") == expected


def test_a_drive_that_refuses_permissions_keeps_the_file(tmp_path, monkeypatch):
    """Protects results on drives of other systems (Windows' under WSL): the work is done when the file is written."""

    def refuse(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(pathlib.Path, "chmod", refuse)
    with common.atomic_path(tmp_path / "result.json") as temporary:
        temporary.write_text("{}")
    assert (tmp_path / "result.json").read_text() == "{}"
