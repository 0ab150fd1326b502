"""The version, here and in the package's metadata."""

__version__ = "0.1.0"
