"""The models that one process serves: each by its name, read anew without losing a request."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from difflib import get_close_matches
from pathlib import Path

from deepenough.errors import DeepenoughError
from deepenough.serve.limits import Limits, UploadReader
from deepenough.serve.metrics import ServiceMetrics
from deepenough.serve.refusals import RefusedError
from deepenough.serve.service import Service

logger = logging.getLogger(__name__)


def named_runs(given: Sequence[str | Path]) -> dict[str, Path]:
    """Runs by the name of their model: NAME of NAME=RUN, otherwise that of the folder. Raises DeepenoughError."""
    found: dict[str, Path] = {}
    for each in given:
        name, separator, path = str(each).partition("=")
        if not separator or Path(each).exists():
            name, path = Path(each).resolve().name, str(each)
        if not name or "/" in name or not name.isprintable():
            raise DeepenoughError(f"{str(each)!r}: a model's name has a letter at least, and no slash; give NAME=RUN")
        if name in found:
            raise DeepenoughError(f"two models are called {name!r}: give NAME=RUN for one of them")
        found[name] = Path(path)
    return found


class Models:
    """The models of a process by name, in the order in which they were given: the first is the one meant where a
    request names none. They share the limits, the reader of uploads and the metrics, and each has its own queue.
    """

    def __init__(self, runs: Mapping[str, Path], limits: Limits, device: str, engine: str) -> None:
        self.runs, self.limits = dict(runs), limits
        self.metrics = ServiceMetrics()
        self.reader = UploadReader(limits)
        self.draining = False
        self.tell_others: Callable[[], object] = lambda: None
        """Has the other processes of the service read their models anew, where it has several."""
        self._make: Callable[[Path], Service] = lambda run: Service(run, limits, device, engine, self.metrics)
        self._services = {name: self._make(run) for name, run in self.runs.items()}
        self._users: dict[Service, int] = {}
        self._reloading = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()  # of services that were replaced

    @property
    def default(self) -> str:
        """The name of the model that is meant where none is given."""
        return next(iter(self.runs))

    def get(self, name: str | None = None) -> Service:
        """The service of a model. Raises RefusedError."""
        try:
            return self._services[self.default if name is None else name]
        except KeyError:
            near = get_close_matches(str(name), self.runs, 1)
            meant = f"; did you mean {near[0]!r}?" if near else "; GET /models lists them"
            raise RefusedError(404, "unknown-model", f"there is no model {name!r}{meant}") from None

    @contextmanager
    def using(self, name: str | None = None) -> Iterator[Service]:
        """The service of a model, which goes on until the context ends, whatever replaces it meanwhile."""
        service = self.get(name)
        self._users[service] = self._users.get(service, 0) + 1
        try:
            yield service
        finally:
            self._users[service] -= 1
            self._end_if_replaced(service)

    def trouble(self) -> str | None:
        """The reason that not all models answer; None where all is well."""
        if self.draining:
            return "the service is about to end"
        return next((trouble for service in self._services.values() if (trouble := service.trouble())), None)

    def count(self) -> None:
        """Bring the gauges up to date."""
        rooms = [(service.batcher.room.taken, service.batcher.heavy_room.taken) for service in self._services.values()]
        pictures, explanations = (sum(each) for each in zip(*rooms, strict=True))
        self.metrics.set(pictures, explanations, self.reader.uploads, self.reader.held)

    async def reload(self) -> dict[str, str]:
        """Read all models anew, each beside the one that answers until the new one is ready.

        Returns why a model could not be read, by its name: there the old one goes on.
        """
        failed: dict[str, str] = {}
        async with self._reloading:
            for name, run in self.runs.items():
                try:
                    new = await asyncio.to_thread(self._make, run)
                except DeepenoughError as error:
                    failed[name] = str(error)
                except Exception as error:  # the folder may hold anything
                    failed[name] = f"{run}: it can't be read ({type(error).__name__})"
                    logger.warning("model %s: reading it anew failed", name, exc_info=True)
                else:
                    if self.draining:
                        await new.stop()
                        return failed
                    new.start()
                    old, self._services[name] = self._services[name], new
                    self._end_if_replaced(old)
                    logger.info("model %s: read anew from %s", name, run)
        for name, reason in failed.items():
            logger.error("model %s: the one that was read before goes on: %s", name, reason)
        return failed

    def _end_if_replaced(self, service: Service) -> None:
        if not self._users.get(service) and service not in self._services.values():
            self._users.pop(service, None)
            ending = asyncio.ensure_future(self._end(service))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def _end(self, service: Service) -> None:
        await service.stop()
        del service
        if gc.get_freeze_count():  # a model is in cycles, and the first one is among what was spared the collector
            gc.unfreeze()
            gc.collect()
            gc.freeze()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer questions while the context lasts."""
        for service in self._services.values():
            service.start()
        yield
        self.draining = True
        for service in self._services.values():
            await service.stop()
