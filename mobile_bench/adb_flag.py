"""The flag `--adb` of every binary that meets phones."""

from absl import flags

ADB = flags.DEFINE_string("adb", None, "the adb program; unless given the one that the package adbutils brings")
