"""From sockets to sessions and back.

    listener ─► connection: WebSocket handshake, authenticate within 2 s ─► engine reads ─► session.receive ─► router
    router ─► session.deliver ─► transport: bounded outbox ─► engine writes

A session is plain synchronous code: messages in, frames out. Who reads and who writes is the engine's business;
`transport.Transport` is all that sessions see of it.
"""
