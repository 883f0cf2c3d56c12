"""Every error isomix raises, in one tree.

::

    IsomixError
    |- SeparationCancelled                   409  the caller's cancel token was used
    |- CallerError                           the caller can mend it
    |  |- AudioRejected (ValueError)         422
    |  |  |- UnsupportedFormat               415
    |  |  |- TooLarge                        413
    |  |  |- TooLong                         413
    |  |  |- CorruptAudio                    422
    |  |- QuotaExceeded                      429
    |  |- InvalidOptions (ValueError)        422
    |  |- LicenceRefused                      403
    |  |- InvalidTransition                  409
    |  |- StemNotReady                       409
    |  |- StudioForked                       500
    |  |- NotFound (LookupError)             404
    |     |- UnknownModel
    |     |- UnknownStem
    |     |- ProjectNotFound
    |     |- JobNotFound
    |- EngineError                           the engine or its weights failed
    |  |- EngineUnavailable                  503
    |  |- WeightsUnavailable                 503
    |  |- SeparationFailed                   500
    |  |- ContractBroken                     500
    |- JobError                              a job ended for a reason that is not in the recording
    |  |- JobTimedOut                        504
    |  |- WaitTimedOut (TimeoutError)        504
    |  |- LeaseLost                          409
    |  |- WorkerLost                         500
    |     |- OutOfMemory                     500
    |- StorageError                          500  bytes could not be written or read back
    |  |- ObjectNotFound (FileNotFoundError) 404
    |  |- IntegrityError                     500  what was read is not what was written
    |- PersistenceError                      503  the database cannot be reached or refuses
    |  |- ConcurrentUpdate                   409
    |- QueueError                            500
    |  |- QueueUnavailable                   503
    |- PluginError                           500
       |- DuplicateEngine                    500

An error carries a stable ``code`` for programs, a ``status_hint`` for HTTP layers, a ``hint`` with the remedy for
people, and its facts as attributes. Errors survive pickling, so that a worker process can hand one back.
"""

from __future__ import annotations

from typing import ClassVar


class IsomixError(Exception):
    """Root of the tree; catch it to catch everything isomix raises on purpose.

    Parameters
    ----------
    message : str
        What went wrong, with the values that show it.
    hint : str, optional
        What the reader can do about it.
    **facts : object
        The values of the case; each becomes an attribute.

    Examples
    --------
    >>> error = UnknownModel("there is no model 'x'", hint="run `isomix models list`", model="x")
    >>> error.code, error.status_hint, error.facts["model"]
    ('unknown_model', 404, 'x')
    """

    code: ClassVar[str] = "isomix_error"
    status_hint: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str = "", **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.facts = facts
        self.__dict__.update(facts)

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.hint, self.facts)


def _rebuild(cls: type[IsomixError], message: str, hint: str, facts: dict[str, object]) -> IsomixError:
    return cls(message, hint=hint, **facts)


class SeparationCancelled(IsomixError):
    """The caller's cancel token stopped the work; nothing was left behind."""

    code = "cancelled"
    status_hint = 409


class CallerError(IsomixError):
    """The request cannot be served as it stands; the caller can change it."""

    code = "caller_error"
    status_hint = 400


class AudioRejected(CallerError, ValueError):
    """The recording cannot be accepted."""

    code = "audio_rejected"
    status_hint = 422


class UnsupportedFormat(AudioRejected):
    """The bytes are not audio of a kind that can be read here. Facts: ``name``."""

    code = "unsupported_format"
    status_hint = 415


class TooLarge(AudioRejected):
    """More bytes than the limit. Facts: ``limit_bytes``, ``actual_bytes``."""

    code = "too_large"
    status_hint = 413


class TooLong(AudioRejected):
    """More seconds than the limit. Facts: ``limit_seconds``, ``actual_seconds``."""

    code = "too_long"
    status_hint = 413


class CorruptAudio(AudioRejected):
    """The right kind of file, but its audio cannot be decoded or is not finite. Facts: ``name``."""

    code = "corrupt_audio"


class QuotaExceeded(CallerError):
    """The owner has used up what the tier allows. Facts: ``quota``, ``limit``, ``actual``."""

    code = "quota_exceeded"
    status_hint = 429


class InvalidOptions(CallerError, ValueError):
    """An option has a value that it cannot have. Facts: ``option``, ``value``."""

    code = "invalid_options"
    status_hint = 422


class LicenceRefused(CallerError):
    """The model is not known to allow what it is wanted for. Facts: ``model``, ``licence``, ``commercial_use``."""

    code = "licence_refused"
    status_hint = 403


class InvalidTransition(CallerError):
    """A job cannot go from the state it is in to the one asked for. Facts: ``job_id``, ``state``, ``wanted``."""

    code = "invalid_transition"
    status_hint = 409


class StemNotReady(CallerError):
    """The project's stems are not there: still being made, failed or cancelled. Facts: ``project_id``, ``status``."""

    code = "stem_not_ready"
    status_hint = 409


class StudioForked(CallerError):
    """The studio was opened by another process, of which this one is a fork. Facts: ``opened_by`` (process id)."""

    code = "studio_forked"
    status_hint = 500


class NotFound(CallerError, LookupError):
    """Something was asked for by a name or an id that nothing bears."""

    code = "not_found"
    status_hint = 404


class UnknownModel(NotFound):
    """No installed engine has a model of that name. Facts: ``model``, ``known``."""

    code = "unknown_model"


class UnknownStem(NotFound):
    """The model has no such stem and cannot derive it. Facts: ``stem``, ``known``."""

    code = "unknown_stem"


class ProjectNotFound(NotFound):
    """There is no project of that id, or it is somebody else's. Facts: ``project_id``."""

    code = "project_not_found"


class JobNotFound(NotFound):
    """There is no job of that id. Facts: ``job_id``."""

    code = "job_not_found"


class EngineError(IsomixError):
    """An engine could not be opened or did not do its work."""

    code = "engine_error"


class EngineUnavailable(EngineError):
    """A package, device or runtime that the engine needs is missing. Facts: ``model``."""

    code = "engine_unavailable"
    status_hint = 503


class WeightsUnavailable(EngineError):
    """No source had the weights, or what they had was not the weights. Facts: ``model``."""

    code = "weights_unavailable"
    status_hint = 503


class SeparationFailed(EngineError):
    """The engine raised while it separated; the cause is chained. Facts: ``model``."""

    code = "separation_failed"


class ContractBroken(EngineError):
    """An engine broke the rules of the seam (shape, dtype, finite values). Facts: ``model``."""

    code = "contract_broken"


class JobError(IsomixError):
    """A job ended for a reason that lies neither in the recording nor in the engine. Facts: ``job_id``."""

    code = "job_error"


class JobTimedOut(JobError):
    """The separation took longer than it may. Facts: ``job_id``, ``limit_seconds``."""

    code = "job_timed_out"
    status_hint = 504


class WaitTimedOut(JobError, TimeoutError):
    """The job had not ended when the caller's patience did; it goes on. Facts: ``project_id``, ``limit_seconds``."""

    code = "wait_timed_out"
    status_hint = 504


class LeaseLost(JobError):
    """The job went to another worker, was cancelled or deleted: this one must stop. Facts: ``job_id``."""

    code = "lease_lost"
    status_hint = 409


class WorkerLost(JobError):
    """Workers that took the job disappeared, as often as is allowed. Facts: ``job_id``, ``attempts``."""

    code = "worker_lost"


class OutOfMemory(WorkerLost):
    """Workers that took the job were killed with exit code 137, usually for want of memory."""

    code = "out_of_memory"


class StorageError(IsomixError):
    """Bytes could not be written, moved or read. Facts: ``path``."""

    code = "storage_error"


class ObjectNotFound(StorageError, FileNotFoundError):
    """There is no file or object at a path or address. Facts: ``path``."""

    code = "object_not_found"
    status_hint = 404


class IntegrityError(StorageError):
    """Bytes were read back and are not what they have to be. Facts: ``path``."""

    code = "integrity_error"


class PersistenceError(IsomixError):
    """The database cannot be reached, or refuses."""

    code = "persistence_error"
    status_hint = 503


class ConcurrentUpdate(PersistenceError):
    """A record was changed by somebody else since it was read; read it again. Facts: ``id``."""

    code = "concurrent_update"
    status_hint = 409


class QueueError(IsomixError):
    """A job cannot be handed over."""

    code = "queue_error"


class QueueUnavailable(QueueError):
    """The queue cannot be reached; accepted jobs are kept and handed over later. Facts: ``queue``."""

    code = "queue_unavailable"
    status_hint = 503


class PluginError(IsomixError):
    """A plugin cannot be used. Facts: ``plugin``."""

    code = "plugin_error"


class DuplicateEngine(PluginError):
    """Two distributions offer a model under one name. Facts: ``model``, ``distributions``."""

    code = "duplicate_engine"
