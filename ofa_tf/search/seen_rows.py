"""`SeenRows`: which architectures a search has evaluated."""

import numpy as np


class SeenRows:
    """A growing set of rows, kept as sorted 64-bit hashes.

    Args:
        rng: the source of the hash's factors.
        columns: of the rows, G + 1.
    """

    def __init__(self, rng: np.random.Generator, columns: int):
        # Odd factors are invertible modulo 2^64: rows that differ in one column never collide.
        self._factors = rng.integers(1 << 63, size=columns, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        self._hashes = np.zeros(0, np.uint64)

    def new(self, rows: np.ndarray, count: int | None = None) -> np.ndarray:
        """The first `count` (all for None) of the rows that were never given before, each once.

        They count as seen from now on; what exceeds `count` does not.
        """
        hashes, first = np.unique(rows.astype(np.uint64) @ self._factors, return_index=True)
        places = np.searchsorted(self._hashes, hashes)
        known = np.zeros(len(hashes), bool)
        inner = places < len(self._hashes)
        known[inner] = self._hashes[places[inner]] == hashes[inner]
        hashes, first, places = hashes[~known], first[~known], places[~known]
        kept = np.sort(np.argsort(first)[:count])
        self._hashes = np.insert(self._hashes, places[kept], hashes[kept])
        return rows[np.sort(first[kept])]
