"""`SeenRows`: which architectures a search has evaluated."""

import numpy as np


class SeenRows:
    """A growing set of rows, kept as 64-bit hashes.

    Args:
        rng: the source of the hash's factors.
        columns: of the rows, G + 1.
    """

    def __init__(self, rng: np.random.Generator, columns: int):
        # Odd factors are invertible modulo 2^64: rows that differ in one column never collide.
        self._factors = rng.integers(1 << 63, size=columns, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        self._hashes: set[int] = set()

    def new(self, rows: np.ndarray, count: int | None = None) -> np.ndarray:
        """The first `count` (all for None) of the rows that were never given before, each once.

        They count as seen from now on; what exceeds `count` does not.
        """
        # Several times faster than sorted arrays for the few hundred rows of a generation.
        places = []
        for place, row_hash in enumerate((rows.astype(np.uint64) @ self._factors).tolist()):
            if len(places) == count:
                break
            if row_hash not in self._hashes:
                self._hashes.add(row_hash)
                places.append(place)
        return rows[np.array(places, int)]
