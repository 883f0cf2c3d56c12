"""Queues: each wakes somebody up who runs a job, in the caller, in a thread of this process, or on any machine."""

from isomix.queue.absent import AbsentQueue
from isomix.queue.background import BackgroundQueue
from isomix.queue.celery import CeleryQueue, JobHost, serve
from isomix.queue.inline import InlineQueue

__all__ = ["AbsentQueue", "BackgroundQueue", "CeleryQueue", "InlineQueue", "JobHost", "serve"]
