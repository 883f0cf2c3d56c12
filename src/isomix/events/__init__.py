"""Events: who watches a project is told that it has changed, in this process or in all that share a Redis."""

from isomix.events.local import LocalBus
from isomix.events.redis import RedisBus

__all__ = ["LocalBus", "RedisBus"]
