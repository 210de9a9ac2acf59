"""Asks an engine each prompt once, ever: what it replied is kept on disk at once, so a stopped judge goes on."""

import hashlib
from collections.abc import Callable, Iterator, Sequence

from auricle.content_cache import ContentCache
from auricle.conversation import Message, Sampling
from auricle.engines.interface import Engine, Request
from auricle.errors import UserError

_REFUSALS_IN_A_ROW = 5  # of the server; then it is not the prompts' doing


class Remembered:
    """Replies to prompts of text, from the cache or else from the engine.

    Args:
        engine: asked for what the cache lacks.
        sampling: with which it is asked.
        name: of who replies, and of every setting that changes replies; they are kept by it and the prompt.
        cache: of replies.
        system: the system message; None leaves it to the engine.
        keeps: which replies are kept; one that is not is asked for again next time.
    """

    def __init__(
        self,
        engine: Engine,
        sampling: Sampling,
        *,
        name: str,
        cache: ContentCache,
        system: str | None = None,
        keeps: Callable[[str], bool] = bool,
    ) -> None:
        self._engine = engine
        self._sampling = sampling
        self._name = name
        self._cache = cache
        self._system = () if system is None else (Message("system", (system,)),)
        self._keeps = keeps
        self._refused_in_a_row = 0

    def replies(self, prompts: Sequence[str], watch: Callable[[int, int], None] | None = None) -> dict[str, str]:
        """The reply to each prompt; none to one that the engine refuses.

        Args:
            prompts: the same one is asked once.
            watch: told how many different prompts of how many have been dealt with.

        Raises:
            UserError: the engine refused five times in a row, in this call or over several.
        """
        keys = {prompt: hashlib.sha256(f"{self._name}\0{prompt}".encode()).hexdigest() for prompt in prompts}
        known = self._cache.get(keys.values())
        replies = {prompt: known[key] for prompt, key in keys.items() if key in known}
        missing = [prompt for prompt in keys if prompt not in replies]
        for place, (prompt, reply) in enumerate(self._asked(missing), start=len(replies) + 1):
            if reply is not None:
                replies[prompt] = reply
                if self._keeps(reply):
                    self._cache.put({keys[prompt]: reply})
            if watch is not None:
                watch(place, len(keys))
        return replies

    def _asked(self, prompts: Sequence[str]) -> Iterator[tuple[str, str | None]]:
        """Each prompt with its reply, None where the engine refused; what waits behind a refused one is asked anew."""
        start = 0
        while start < len(prompts):
            try:
                for answer in self._engine.generate(map(self._request, prompts[start:]), self._sampling):
                    start += 1
                    self._refused_in_a_row = 0
                    yield prompts[start - 1], answer.text
            except UserError:
                start += 1
                self._refused_in_a_row += 1
                if self._refused_in_a_row == _REFUSALS_IN_A_ROW:
                    raise
                yield prompts[start - 1], None

    def _request(self, prompt: str) -> Request:
        return Request((*self._system, Message("user", (prompt,))))
