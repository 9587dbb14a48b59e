"""Experiments: one file each, and the file is the experiment. `tools.train --config=ofa_tf/configs/<name>.py`."""
