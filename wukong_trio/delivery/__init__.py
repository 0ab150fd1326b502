"""From accepted sends to the sessions that receive them.

    inbox of batches ─► router: commit stage ─► store ─► deliver stage ─► sessions
    routes              where a user's sends go, and whether he may
    commit, deliver     what the two stages do
    registry            who is online
    push                a message in the wire forms its receivers want, each encoded once
    retry               pushes that wait for their recvack
    hooks               before_send and on_event

Knows sessions only as `Receiver`s that take frames; does no network I/O.
"""
