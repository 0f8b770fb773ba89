"""Image files on disk: written durably, named by their content, never changed."""

from spool.files import Spool, Spooled, durable_write

__all__ = ["Spool", "Spooled", "durable_write"]
