"""A folder of links to a few photos of another one."""

import os
import pathlib


def link_photos(files: list[pathlib.Path], folder: pathlib.Path) -> None:
    """Links to files, or to a whole split's folder, in a folder that may hold them already."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        link = folder / file.name
        if not link.is_symlink():
            link.symlink_to(os.path.abspath(file))
