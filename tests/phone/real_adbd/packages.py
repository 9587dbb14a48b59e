"""The packages that a phone with a real adbd is made of, fetched once, as files, and not installed.

    python -m tests.phone.real_adbd.packages

Debian has adbd since trixie. Whatever Debian this machine is, its own mirror is asked, with lists and a state of the
packages' own: with nothing installed there, all that they depend on comes along.
"""

import pathlib
import subprocess
import tempfile

from ofa_tf.common.download import cache_folder

_PACKAGES = ("adbd", "toybox", "mksh")
_RELEASE = "trixie"
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
FETCH = "python -m tests.phone.real_adbd.packages"


def folder() -> pathlib.Path:
    """Where the packages are kept."""
    return cache_folder() / "real_adbd"


def packages() -> list[pathlib.Path]:
    """Their files; none where one of them is missing."""
    found = sorted(folder().glob("*.deb"))
    named = {path.name.partition("_")[0] for path in found}
    return found if named.issuperset(_PACKAGES) else []


def fetch() -> None:
    """Fetches them from the Debian mirror of this machine."""
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(COMPONENT) $(RELEASE)", "Created-By: Packages"],
        capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    mirror = next(line.split()[0] for line in targets if " main " in line and "security" not in line)
    folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        state = pathlib.Path(name)
        for part in ("lists/partial", "archives/partial"):
            (state / part).mkdir(parents=True)
        (state / "status").touch()
        (state / "sources.list").write_text(f"deb [signed-by={_KEYS}] {mirror} {_RELEASE} main\n")
        places = {
            "Etc::sourcelist": "sources.list",
            "Etc::sourceparts": "none",
            "State::lists": "lists",
            "State::status": "status",
            "Cache": "",
            "Cache::archives": "archives",
        }
        own = [f"-oDir::{option}={state / path}" for option, path in places.items()]
        apt = ["apt-get", "-oAPT::Sandbox::User=root", *own]
        subprocess.run([*apt, "update"], check=True)
        subprocess.run([*apt, "install", "-y", "--download-only", "--no-install-recommends", *_PACKAGES], check=True)
        for path in (state / "archives").glob("*.deb"):
            (folder() / path.name).write_bytes(path.read_bytes())


if __name__ == "__main__":
    fetch()
    print(f"{folder()}: {len(packages())} packages")
