"""What a Bazel test target runs: pytest on the file it is given (see pytest.bzl)."""

import sys

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main(["-p", "no:cacheprovider", *sys.argv[1:]]))
