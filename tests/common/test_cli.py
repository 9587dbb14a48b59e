"""Every binary starts and ends through `cli.run`: checked on small real binaries, each in a process of its own."""

import ast
import os
import pathlib
import signal
import subprocess
import sys
import textwrap

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

BINARY = '''
"""Counts to a number.

The manual's second paragraph.
"""
import os, sys, time
from absl import flags
from ofa_tf.common import InputError, OfaError, cli

_COUNT = flags.DEFINE_integer("count", 3, "how far to count")
_PAUSE = flags.DEFINE_float("pause_s", 0.0, "between numbers", lower_bound=0.0, upper_bound=1.0)
_NAME = flags.DEFINE_string("name", None, "who counts", required=True)
_WORK = ["count", "input", "ofa", "bug", "sleep", "pipe", "open", "tensorflow"]
_DO = flags.DEFINE_enum("do", "count", _WORK, "what to do")

def main(argv):
    if _DO.value == "input":
        raise InputError("photos: holds no images,\\nexpected class folders")
    if _DO.value == "ofa":
        raise OfaError("no phone answered")
    if _DO.value == "bug":
        raise ZeroDivisionError("a bug")
    if _DO.value == "pipe":
        raise BrokenPipeError("not stdout's")
    if _DO.value == "open":
        open(_NAME.value)
    if _DO.value == "sleep":
        print("asleep", flush=True)
        time.sleep(60)
    if _DO.value == "tensorflow":
        import tensorflow as tf
        print(tf.reduce_sum(tf.ones((2, 2))).numpy())
        os.write(2, b"stderr is back")
    for number in range(_COUNT.value):
        print(_NAME.value, number)
    return "ignored"

def run():
    cli.run(main)

if __name__ == "__main__":
    run()
'''

CONFIGURED = """
from ofa_tf.common import cli

_CONFIG = cli.define_config({default!r}, "the experiment")

def main(argv):
    print(_CONFIG.value.batch_size)

if __name__ == "__main__":
    cli.run(main)
"""


def environment(**changes):
    kept = {name: value for name, value in os.environ.items() if name not in ("TF_CPP_MIN_LOG_LEVEL", "ABSL_FLAGS")}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *filter(None, [kept.get("PYTHONPATH")])]),
        **changes,
    }


@pytest.fixture(name="counter")
def _counter(tmp_path):
    (tmp_path / "counter.py").write_text(textwrap.dedent(BINARY).lstrip())

    def start(*arguments, program=("-m", "counter")):
        command = [sys.executable, *program, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)

    return start


def assert_one_line(done, code, *parts):
    """One line on stderr that holds `parts`, nothing on stdout, the exit code."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    for part in parts:
        assert part in done.stderr


def test_runs_and_ignores_what_main_returns(counter):
    done = counter("--name=ann", "--count=2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ann 0\nann 1\n", "")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--name=ann", "--coutn=2"], "'coutn'. Did you mean: count ?"),
        (["--name=ann", "--count=two"], "--count=two"),
        (["--name=ann", "--do=nothing"], "--do=nothing"),
        (["--name=ann", "--pause_s=2"], "--pause_s=2"),
        (["--name=ann", "--pause_s=nan"], "--pause_s=nan: expected a finite number"),
        (["--name=ann", "--pause_s=inf"], "--pause_s=inf"),
        ([], "--name"),
        (["--name=ann", "--flagfile=absent"], "absent"),
        (["--name=ann", "photos"], "unexpected argument 'photos'"),
        (["--name=ann", "--", "--count=2"], "unexpected argument '--count=2'"),
    ],
)
def test_unusable_command_line_is_one_line_and_exit_code_2(counter, arguments, part):
    assert_one_line(counter(*arguments), 2, "python -m counter: error: ", part, "; see --help")


@pytest.mark.parametrize(
    ("work", "code", "line"),
    [
        ("input", 2, "python -m counter: error: photos: holds no images, expected class folders\n"),
        ("ofa", 1, "python -m counter: error: no phone answered\n"),
    ],
)
def test_a_known_failure_is_its_message_in_one_line(counter, work, code, line):
    done = counter("--name=ann", f"--do={work}")
    assert_one_line(done, code)
    assert done.stderr == line


@pytest.mark.parametrize(("work", "error"), [("bug", "ZeroDivisionError: a bug"), ("pipe", "BrokenPipeError")])
def test_a_bug_keeps_its_traceback(counter, work, error):
    """A broken pipe that is not stdout's is a bug too."""
    done = counter("--name=ann", f"--do={work}")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert error in done.stderr


@pytest.mark.parametrize("flag", ["--help", "-h", "--helpshort"])
def test_help_prints_the_manual_and_the_binarys_flags(counter, flag):
    done = counter(flag)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Counts to a number.\n\nThe manual's second paragraph.\n")
    assert "--count: how far to count" in done.stdout
    assert "--verbosity" not in done.stdout


def test_help_of_an_installed_command_is_the_same_manual(counter):
    """A console script's `__main__` is pip's stub, without docstring or flags."""
    done = counter("--help", program=("-c", "import sys; sys.argv[0] = 'count'; import counter; counter.run()"))
    assert done.returncode == 0
    assert done.stdout.startswith("Counts to a number.")
    assert "--count: how far to count" in done.stdout


def test_full_help_is_no_failure(counter):
    done = counter("--helpfull")
    assert done.returncode == 0
    assert "--verbosity" in done.stdout


def test_interrupt_is_one_line_and_exit_code_130(counter, tmp_path):
    command = [sys.executable, "-m", "counter", "--name=ann", "--do=sleep"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # Tests that run in a shell's background inherit that interrupts are ignored.
    heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), text=True, **pipes, **heed) as process:
        assert process.stdout.readline() == "asleep\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "python -m counter: interrupted\n")


@pytest.mark.parametrize(("count", "unbuffered"), [(3, ""), (3, "1"), (100_000, "")])
def test_a_reader_that_goes_away_is_no_traceback(counter, tmp_path, count, unbuffered):
    """Both where the pipe breaks while printing and where it breaks at the last flush."""
    variables = environment(PYTHONUNBUFFERED=unbuffered)
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "counter", "--name=ann", f"--count={count}"]
    with os.fdopen(writer, "wb") as pipe:
        done = subprocess.run(
            command, cwd=tmp_path, env=variables, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (141, "")


def test_tensorflow_loads_without_chatter(counter):
    """Its libraries write while they load, whatever the log level; afterwards stderr is whole again."""
    done = counter("--name=ann", "--do=tensorflow", "--count=0")
    assert (done.returncode, done.stdout, done.stderr) == (0, "4.0\n", "stderr is back")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("~/x.json", "/home/ann/x.json"),
        ("~", "/home/ann"),
        ("a,~/b c,d~e", "a,/home/ann/b c,d~e"),
        ("~root/x", os.path.expanduser("~root/x")),
        ("a~/x", "a~/x"),
        ("~backups9", "~backups9"),
    ],
)
def test_a_tilde_is_the_home_folder(counter, monkeypatch, name, found):
    """Behind "=", where shells leave it, in a list, of another user; anywhere else it is a letter."""
    monkeypatch.setenv("HOME", "/home/ann")
    assert counter(f"--name={name}", "--count=1").stdout == f"{found} 0\n"
    assert counter("--name", name, "--count=1").stdout == f"{found} 0\n"


def test_a_path_that_is_not_utf8_is_printed(counter):
    """With escapes, as stderr has them."""
    assert counter(os.fsdecode(b"--name=caf\xe9"), "--count=1").stdout == "caf\\udce9 0\n"


def test_a_tilde_of_nobody_is_one_line(counter):
    assert_one_line(counter("--name=~nobody9/x"), 2, "~nobody9/x: there is no user 'nobody9'")


def test_a_path_that_the_system_refuses_is_one_line(counter):
    """Of a path that a flag gave, wherever it is used: too long, not allowed, a file where a folder is meant."""
    done = counter("--name=" + "a" * 300, "--do=open")
    assert_one_line(done, 2, "aaa: File name too long; check the path")


@pytest.fixture(name="configured")
def _configured(tmp_path):
    (tmp_path / "settings.py").write_text(
        "import ml_collections\ndef get_config():\n"
        "    return ml_collections.ConfigDict({'batch_size': 64, 'learning_rate': 0.1})\n"
    )
    (tmp_path / "sized.py").write_text(
        "import ml_collections\nSIZES = {'small': 8}\ndef get_config(size='small'):\n    if size not in SIZES:\n"
        "        raise ValueError(f'--config=...:{size}: expected small')\n"
        "    return ml_collections.ConfigDict({'batch_size': SIZES[size]})\n"
    )

    def start(default, *arguments):
        (tmp_path / "configured.py").write_text(CONFIGURED.format(default=default))
        command = [sys.executable, "configured.py", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)

    return start


def test_config_fields_are_overridden_by_flags(configured):
    assert configured("settings.py").stdout == "64\n"
    assert configured(None, "--config=settings.py", "--config.batch_size=8").stdout == "8\n"


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--config.resolutions=(160,)"], {"resolutions": (160,)}),
        (["--config.resolutions=[160, 192]", "--config.seed=3"], {"resolutions": [160, 192], "seed": 3}),
        (["--config.schedule=joint"], {"schedule": "joint"}),
        (["--config.augmentation.flip=False"], {"augmentation": {"flip": False}}),
        (["--config.stages.full.warmup_epochs=0.5"], {"stages": {"full": {"warmup_epochs": 0.5}}}),
        (["--config.decay=run", "--config.jit_compile"], {"decay": "run", "jit_compile": True}),
        (["--config.decay=None"], {"decay": None}),
        (["--config.batch_size=8"], {"batch_size": 8}),
    ],
)
def test_fields_that_a_file_leaves_out_are_overridden_too(configured, tmp_path, arguments, found):
    """Of those that the binary knows; they need not stand in the file."""
    (tmp_path / "optional.py").write_text(
        CONFIGURED.format(default="settings.py")
        .replace('"the experiment"', '"", FIELDS')
        .replace(".batch_size", ".to_dict()")
        .replace("import cli", "import cli\nfrom ofa_tf.configs import FIELDS")
    )
    command = [sys.executable, "optional.py", *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ast.literal_eval(done.stdout) == {"batch_size": 64, "learning_rate": 0.1, **found}


def test_values_of_a_file_do_not_bind_their_kind(configured, tmp_path):
    """Whole numbers of passes, or a weight, do not stand in the way of fractions and of the schedule's own: None."""
    (tmp_path / "staged.py").write_text(
        CONFIGURED.format(default="ofa_tf/configs/photos.py")
        .replace('"the experiment"', '"", FIELDS')
        .replace(".batch_size", ".to_dict()")
        .replace("import cli", "import cli\nfrom ofa_tf.configs import FIELDS")
    )
    fractions = ["--config.stages.all.epochs=29.5", "--config.stages.all.warmup_epochs=0.5"]
    command = [sys.executable, "staged.py", *fractions, "--config.decay=None", "--config.kd_ratio=None"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = ast.literal_eval(done.stdout)
    assert (found["stages"]["all"]["epochs"], found["stages"]["all"]["warmup_epochs"]) == (29.5, 0.5)
    assert (found["decay"], found["kd_ratio"]) == (None, None)


def test_a_default_config_is_found_from_any_folder(configured):
    done = configured("ofa_tf/configs/digits.py", "--config.batch_size=3")
    assert (done.stdout, done.stderr) == ("3\n", "")


def test_a_shipped_config_is_found_from_any_folder(configured):
    """Protects the documentation's commands for those who installed a wheel; the folder's own file comes first."""
    done = configured(None, "--config=ofa_tf/configs/transfer.py", "--config.batch_size=5")
    assert done.stdout == "5\n"
    assert configured(None, "--config=sized.py:small").stdout == "8\n"
    assert configured(None, "--config=settings.py").stdout == "64\n"


@pytest.mark.parametrize(
    ("default", "arguments", "part"),
    [
        ("settings.py", ["--config.bach_size=8"], "no field 'bach_size'"),
        (None, ["--config=settings.py", "--config.bach_size=8"], "no field 'bach_size'"),
        ("settings.py", ["--config.batch_size=many"], "--config.batch_size=many"),
        ("settings.py", ["--config.batch_size=0.5"], "--config.batch_size=0.5"),
        ("settings.py", ["--config.learning_rate=nan"], "--config.learning_rate=nan: expected a finite number"),
        (None, ["--config=absent.py"], "there is no file 'absent.py'; give the path of your own, or of one that ships"),
        (None, ["--config", "absent.py"], "ofa_tf/configs/NAME.py, where NAME is one of digits, "),
        (None, ["--config=absent.py", "--config.batch_size=8"], "there is no file 'absent.py'"),
        (None, ["--config=settings.py:large"], "TypeError: get_config() takes 0 positional arguments"),
        (None, ["--config=sized.py:d9"], "expected small"),
        ("absent.py", [], "absent.py"),
    ],
)
def test_a_mistake_in_a_config_flag_is_one_line(configured, default, arguments, part):
    assert_one_line(configured(default, *arguments), 2, "configured.py: error: ", part)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("def get_config(:\n", "the file cannot be used: SyntaxError: invalid syntax (own.py, line 1); see --help"),
        ("def get_config():\n    raise KeyError('width')\n", "the file cannot be used, line 2: KeyError: 'width'; see"),
        ("def get_config():\n    return int('x\\n')\n", "the file cannot be used, line 2: ValueError: invalid literal"),
        ("open('absent')\n", "No such file or directory: 'absent'"),
        ("import absent\n", "the file cannot be used, line 1: ModuleNotFoundError: No module named 'absent'; see"),
        ("batch_size = 64\n", "the file cannot be used: it has no function get_config(); see --help"),
        ("def get_config():\n    return {'batch_size': 64}\n", "get_config() gives dict, expected ml_collections.Conf"),
    ],
)
def test_a_config_file_of_ones_own_that_is_wrong_is_one_line(configured, tmp_path, text, part):
    """Whatever its code does, where it did it, and without the traceback or the object of ml_collections."""
    (tmp_path / "own.py").write_text(text)
    assert_one_line(configured(None, "--config=own.py"), 2, "error: flag --config=own.py: ", part)
