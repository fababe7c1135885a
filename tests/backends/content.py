# SPDX-License-Identifier: Apache-2.0
"""What the servers serve."""

import random

SIZE = 4 << 20


def make_content(path, seed=1):
    """Data, zeroes and holes."""
    rng = random.Random(seed)
    with open(path, "wb") as file:
        for at in range(0, SIZE, 262144):
            if rng.random() < 0.5:
                file.seek(at)
                file.write(rng.randbytes(131072) + bytes(65536))
        file.truncate(SIZE)
