"""Computing the items of an iterator in a thread, a bounded number of them ahead of who uses them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


def ahead(items: Iterator[Item], depth: int, name: str) -> Generator[Item, None, None]:
    """Yield the items of an iterator that a thread of its own computes, in order.

    The thread ends with the generator, by whatever it ends: exhausted, closed, an error on either side.

    Args:
        items: Closed by the thread when it ends, if it is a generator.
        depth: Finished items that may wait. With 0 the thread begins an item when the one before has been
            taken: then two exist, the one in use and the one being computed.
        name: Of the thread.
    """
    worker = _Worker(items, depth, name)
    worker.start()
    try:
        yield from worker.results()
    finally:
        worker.stop()


class _Worker(threading.Thread, Generic[Item]):
    def __init__(self, items: Iterator[Item], depth: int, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._items = items
        self._depth = depth
        self._done: deque[Item] = deque()
        self._error: BaseException | None = None
        self._finished = self._stopped = False
        self._changed = threading.Condition()

    def run(self) -> None:
        error = None
        try:
            for item in self._items:
                with self._changed:
                    self._done.append(item)
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self._stopped or len(self._done) <= self._depth)
                    if self._stopped:
                        break
                del item  # or its memory would be held while the next one is computed
        except BaseException as caught:  # whatever it is, it belongs to the thread that waits
            error = caught
        finally:
            if isinstance(self._items, Generator):
                self._items.close()
            with self._changed:
                self._error, self._finished = error, True
                self._changed.notify_all()

    def results(self) -> Iterator[Item]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._done or self._finished)
                if not self._done:
                    break
                item = self._done.popleft()
                self._changed.notify_all()
            yield item
            del item
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._done.clear()
            self._changed.notify_all()
        self.join()
