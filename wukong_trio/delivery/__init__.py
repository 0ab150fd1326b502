"""From accepted sends to the sessions that receive them.

    inbox of batches ─► router: commit stage ─► store ─► deliver stage ─► sessions
    routes              where a user's sends go, and whether he may
    decide, deliver     what the two stages do; a large channel has a lane
    registry            who is online
    push                messages in the wire forms their receivers want, each encoded once
    retry               pushes that wait for their recvack
    hooks, events       before_send and on_event

Knows sessions only as `Receiver`s that take frames; does no network I/O.
"""
