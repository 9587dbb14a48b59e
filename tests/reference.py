"""Where the reference's data lie: the folder that OFA_TF_SHARED names, or ../shared beside the checkout."""

import os
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


def shared(name: str) -> pathlib.Path:
    """The path of a file or folder of the reference, for example "reference/costs.json".

    Skips the calling test, saying why, where the reference is not on this machine.
    """
    folder = pathlib.Path(os.environ.get("OFA_TF_SHARED") or ROOT.parent / "shared")
    path = folder / name
    if not path.exists():
        pytest.skip(f"{path} is not there; set OFA_TF_SHARED to the folder with the reference data")
    return path
