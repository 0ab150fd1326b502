"""Time limits of HTTP connections, in seconds; the same for both engines where they have the same meaning."""

KEEP_ALIVE_S = 75.0
"""How long a connection may be idle between two requests."""
HEAD_S = 10.0
"""From the first byte of a request to the end of its head."""
BODY_PAUSE_S = 30.0
"""How long the rest of a body may keep the server waiting without a byte."""
STALLED_S = 5.0
"""How long a client may take no byte of its answer."""
ANSWER_ROOM_S = 15.0
"""How long a request may wait until there is room for a long answer among the others."""
LINGER_S = 1.0
"""How long a refused client may go on sending, so that it gets to read why it was refused."""
GRACEFUL_S = 3.0
"""How long requests under way may take once the server stops."""
