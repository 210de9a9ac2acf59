"""Many things at once, their results in order."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_AHEAD = 4  # results per thread that may wait for a slow one before them
Result = TypeVar("Result")


def in_order(function: Callable[[int], Result], count: int, num_threads: int | None = None) -> Iterator[Result]:
    """`function(0)`, `function(1)` and so on in threads; it should leave Python's lock often, as decoding does.

    However it ends, also by Ctrl-C, what has not begun is dropped and what has is waited for.

    Args:
        function: of an index.
        count: of indices.
        num_threads: None for one per core.
    """
    num_threads = num_threads or os.cpu_count() or 1
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(num_threads)
    try:
        for index in range(count):
            waiting.append(pool.submit(function, index))
            if len(waiting) >= _AHEAD * num_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
