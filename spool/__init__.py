"""Image files on disk: written durably, named by their content, never changed."""

from spool.files import Spool, durable_write

__all__ = ["Spool", "durable_write"]
