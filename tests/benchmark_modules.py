"""Benchmarks as modules, for tests of what they compute."""

import importlib
import types

from absl import flags


def benchmark_module(name: str) -> types.ModuleType:
    """`benchmarks.<name>` without its flags, whose names other benchmarks in the same process have too."""
    module = importlib.import_module(f"benchmarks.{name}")
    for flag in flags.FLAGS.get_flags_for_module(module.__name__):
        delattr(flags.FLAGS, flag.name)
    return module
