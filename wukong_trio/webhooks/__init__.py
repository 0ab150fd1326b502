"""Telling a back-end over HTTP what happens: messages, receivers who are offline, who comes and goes.

    hook         one event's requests: signed, sent, and judged by their answers
    address      where the receiver is
    connections  the connections to him, which are used again; over wires (bytes, TLS) and answer (what he says)
    pace         when the next request may begin: chat goes first, but not always
    notify       msg.notify: every stored message, at least once and in order; the store is the queue
    untold       its messages, from memory if they are of late
    offline      msg.offline: who has not received a message, at once and once
    status       user.onlinestatus: who comes and goes, a little later and together
    webhooks     all of them, with what they share

Each event has a task of its own, so the others do not wait for it; nothing else ever waits for any of them.
"""
