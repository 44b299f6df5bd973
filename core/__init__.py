"""The headless half of autoresearch-tui: the lab, its record, and the engine that runs it."""

__version__ = "0.1.0"
