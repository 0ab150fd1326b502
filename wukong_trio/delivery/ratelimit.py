"""An optional limit on how fast one user may send."""

from time import monotonic

_MAX_BUCKETS = 100_000


class RateLimiter:
    """One token bucket per uid, holding up to one second's worth of sends."""

    def __init__(self, rate_per_s: float) -> None:
        self._rate_per_s = rate_per_s
        self._size = max(rate_per_s, 1.0)
        self._buckets: dict[str, tuple[float, float]] = {}

    def allow(self, uid: str) -> bool:
        """Takes a token; False if there is none."""
        now = monotonic()
        tokens, since = self._buckets.pop(uid, (self._size, now))
        tokens = min(self._size, tokens + (now - since) * self._rate_per_s)
        allowed = tokens >= 1.0
        self._buckets[uid] = (tokens - allowed, now)
        if len(self._buckets) > _MAX_BUCKETS:
            # The longest unused bucket is most likely full again: it fills in a second, or below 1/s in 1/rate seconds.
            # Who is forgotten earlier gains a full bucket, but only while as many others as there are buckets send.
            del self._buckets[next(iter(self._buckets))]
        return allowed
