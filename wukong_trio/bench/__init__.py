"""`wukong-trio bench`: load on a server, seen from outside, with proof that nothing was lost.

    commands ─► plan ─► coordinator ─► worker processes: worker ─► a scenario over swarm and connection
                            │  ▲                           traffic (send, group, mixed, ping, idle), storm, http_load
                  procfs ───┘  └── ticks and findings, as lines of JSON (wire)
                            ▼
                        outcome ─► table, JSON, report

A connection consists of a pipe (plain or TLS, `pipes`), a framing (WebSocket or bare, `frames`) and a speech (`jsonrpc`
or `wkproto`), which `dialect` puts together; scenarios know none of them.

The server is a black box: nothing of it is imported but the codec of WKProto; `identity` is what it says of itself.
What a room is sent alike is decoded once and compared for the others (`chorus`). A worker is one plain loop around one
epoll set, without tasks: waking a task costs more than a message, and Trio's timers, like epoll's, are no finer than a
millisecond. Around the workers everything is Trio.
"""
