"""Points of scipy's unscrambled Sobol sequence, as 30-bit integers, for `src/sobol`.

pip install scipy==1.17.1; python make_sobol.py > sobol.json
"""

import json

from scipy.stats import qmc

DIMENSIONS = 21
BITS = 30
INDICES = [0, 1, 2, 3, 4, 5, 6, 7, 63, 100, 1023, 4095, 9999, 65535, 641023]


def point(index):
    engine = qmc.Sobol(DIMENSIONS, scramble=False, bits=BITS)
    if index:
        engine.fast_forward(index)
    return [int(x * 2**BITS) for x in engine.random(1)[0]]


print(json.dumps({"bits": BITS, "indices": INDICES, "points": [point(i) for i in INDICES]}))
