"""Bytes <-> requests, answers and pushes, without any I/O.

    message ─► requests.decode_first / decode ─► Connect, Send, Ping, ... or Invalid
    results, errors, pushes ─► answers ─► message

Knows the wire only: no sessions, no permissions, no clock.
"""
