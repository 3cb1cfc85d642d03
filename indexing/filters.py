"""Placeholder replaced by the filter language."""

class Filter:
    """A condition on metadata."""
