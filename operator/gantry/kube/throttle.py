"""A token bucket before the API server, so that a burst of work does not become a burst of requests.

The API server's priority and fairness would answer 429 sooner or later; then everybody waits as long as it asks for. Clock and sleep are
arguments.
"""

from collections.abc import Awaitable, Callable


class Throttle:
    """At most `rate` a second on average, `burst` at once."""

    def __init__(self, rate: float, burst: int, *, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        self._rate, self._burst = rate, burst
        self._clock, self._sleep = clock, sleep
        self._tokens = float(burst)
        self._at = clock()

    async def take(self) -> None:
        """Waits for its turn. Tokens may be owed: whoever comes later waits longer, in order of asking."""
        now = self._clock()
        self._tokens = min(float(self._burst), self._tokens + (now - self._at) * self._rate)
        self._at = now
        self._tokens -= 1
        if self._tokens < 0:
            await self._sleep(-self._tokens / self._rate)

    def pause(self, seconds: float) -> None:
        """Nobody goes for that long: the server's Retry-After."""
        self._tokens = min(self._tokens, -seconds * self._rate)
