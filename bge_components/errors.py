"""Every error that this package raises on purpose.

The tree::

    BGEError
    ├── CheckpointError
    │   ├── CheckpointNotFoundError     (also FileNotFoundError) the files cannot be had
    │   ├── UnsupportedCheckpointError  the files are there, but this package does not run them
    │   └── BrokenCheckpointError       a file is missing, unreadable or has the wrong shape
    ├── InputError                      (also ValueError) the caller's texts or settings are wrong
    │   ├── InputTypeError              (also TypeError) something that is no string
    │   ├── MissingOutputError          the checkpoint has no such output (sparse of a dense model, say)
    │   ├── MissingChannelError         the index does not keep that channel
    │   ├── FilterError                 a metadata filter makes no sense
    │   └── TextTooLongError            a text was cut and the caller asked for an error
    ├── PoolError                       (also RuntimeError)
    │   ├── PoolClosedError             the pool was closed
    │   ├── PoolFullError               no room for the model beside those in use
    │   ├── QueueFullError              too much work is waiting and the caller asked not to wait
    │   ├── DeadlineError               (also TimeoutError) the deadline passed before the result was there
    │   ├── DeviceOutOfMemoryError      a single text does not fit on the device
    │   ├── DeviceStuckError            a batch ran longer than the watchdog allows
    │   ├── DeviceThreadError           the compute thread ended while it held this request
    │   ├── NonFiniteError              NaN or infinity came out, also in fp32
    │   └── ComputeError                the forward pass of this very text failed
    ├── IndexStoreError                 (also RuntimeError) an index, or the engine below it
    │   ├── IndexClosedError            the index was closed
    │   ├── IndexHeldError              another process holds the index
    │   ├── IndexMismatchError          the index was made with another encoder or other channels
    │   ├── IndexFullError              (also OSError) no room on the disk for what was to be stored
    │   ├── BrokenIndexError            a file of the index is missing or unreadable
    │   └── EngineError                 the engine failed, or its server did
    └── MissingDependencyError          (also ImportError) an optional package is not installed

A message says what was asked, what was found and what to do. Foreign errors are translated where they
enter, with ``raise ... from error``.
"""

from __future__ import annotations


class BGEError(Exception):
    """Root of all errors of this package."""


class CheckpointError(BGEError):
    """Something is wrong with a checkpoint."""


class CheckpointNotFoundError(CheckpointError, FileNotFoundError):
    """The files of a checkpoint cannot be had."""


class UnsupportedCheckpointError(CheckpointError):
    """The checkpoint is of a kind that this package does not run."""


class BrokenCheckpointError(CheckpointError):
    """A file of the checkpoint is missing, unreadable or has the wrong shape."""


class InputError(BGEError, ValueError):
    """The caller's texts or settings are wrong."""


class InputTypeError(InputError, TypeError):
    """A text is not a string."""


class MissingOutputError(InputError):
    """The checkpoint does not give the output that was asked for."""


class MissingChannelError(InputError):
    """The index does not keep the channel that was asked for."""


class FilterError(InputError):
    """A metadata filter has an unknown operator, no field, or a value that cannot be compared."""


class TextTooLongError(InputError):
    """A text is longer than the checkpoint takes, and the caller asked for an error."""


class PoolError(BGEError, RuntimeError):
    """The engine could not do the work."""


class PoolClosedError(PoolError):
    """The pool was closed."""


class PoolFullError(PoolError):
    """The model does not fit into the memory budget beside the models in use."""


class QueueFullError(PoolError):
    """Too much work is waiting, and the caller asked not to wait."""


class DeadlineError(PoolError, TimeoutError):
    """The deadline passed before the result was there."""


class DeviceOutOfMemoryError(PoolError):
    """The device has not enough memory for this work."""


class DeviceStuckError(PoolError):
    """A batch ran longer than the watchdog allows."""


class DeviceThreadError(PoolError):
    """The compute thread of the device ended while it held this work."""


class NonFiniteError(PoolError):
    """A result holds NaN or infinity, also when computed alone in fp32."""


class ComputeError(PoolError):
    """The forward pass of one text failed; `index` is its place in the request."""

    def __init__(self, message: str, index: int | None = None) -> None:
        super().__init__(message)
        self.index = index


class IndexStoreError(BGEError, RuntimeError):
    """An index could not do what was asked."""


class IndexClosedError(IndexStoreError):
    """The index was closed."""


class IndexHeldError(IndexStoreError):
    """Another process holds the index; the message says which."""


class IndexMismatchError(IndexStoreError):
    """The index was made with another encoder, other settings or other channels."""


class IndexFullError(IndexStoreError, OSError):
    """There is no room on the disk for what was to be stored; what was stored before is intact."""


class BrokenIndexError(IndexStoreError):
    """A file of the index is missing or unreadable."""


class EngineError(IndexStoreError):
    """The engine below an index failed, or the server that it talks to."""


class MissingDependencyError(BGEError, ImportError):
    """An optional package is not installed."""
