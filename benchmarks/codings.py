"""What it costs to compress a reply, and what it saves: size and CPU per level, beside what a client pays to read it.

    python benchmarks/codings.py

The numbers behind docs/adr/011: ratios of one run, on one core.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable

import numpy as np
import orjson

ELEMENTS = 2**18
LEVELS = (1, 3, 6)


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def gzip(body: bytes, level: int) -> bytes:
    deflater = zlib.compressobj(level, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return deflater.compress(body) + deflater.flush()


def main() -> None:
    random = np.random.default_rng(0)
    arrays = {
        "FP32": random.standard_normal(ELEMENTS).astype(np.float32),
        "FP64": random.standard_normal(ELEMENTS // 2),
        "INT64": random.integers(0, 1000, ELEMENTS),
    }
    print(f"{'tensor':12} {'MB':>6}  " + "".join(f"{f'level {level}':>20}" for level in LEVELS) + f"{'json.loads':>14}")
    for name, array in arrays.items():
        text = orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY)
        for form, body in ((f"{name} JSON", text), (f"{name} binary", array.tobytes())):
            cells = []
            for level in LEVELS:
                took = seconds(lambda body=body, level=level: gzip(body, level))
                cells.append(f"{len(gzip(body, level)) / len(body):>8.2f} {len(body) / 1e6 / took:>6.0f} MB/s")
            read = f"{len(body) / 1e6 / seconds(lambda body=body: json.loads(body)):>9.0f} MB/s" if body is text else ""
            print(f"{form:12} {len(body) / 1e6:>6.2f}  " + "".join(cells) + read)


if __name__ == "__main__":
    main()
