"""What all compiled loops of dedup share: ``mix`` stays as it is, since what calls it is kept (see ``jit``)."""

from typing import Any

import numpy as np

from gendata.compiled import jit as jit

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@jit
def mix(value: Any) -> Any:
    """The finaliser of SplitMix64 (Steele et al. 2014): every input bit reaches every output bit."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
