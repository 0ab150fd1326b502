"""Settings of all tests."""

from hypothesis import settings

# The gate gives the same answer twice. To search further: pytest --hypothesis-profile=default
settings.register_profile("gate", deadline=None, derandomize=True)
settings.load_profile("gate")
