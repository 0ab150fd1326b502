"""The HTTP side, for business back-ends and for clients that ask where to connect.

    endpoints   the one table: method, path, request type, handler
    table       answers requests by that table: limits, CORS, error bodies; knows no HTTP framework
    guard       who may call, judged by the head of a request alone
    bodies      JSON bodies and lists, read and written so that large ones let others have their turn
    journal     what the operator is told: changes, refusals, failures
    addresses   what `/route` gives out (machine: the addresses of this one)
    users, channels, messages, history, lookups, connections, monitor, route   the handlers, one file per family
    checks      what the contract wants of requests whatever the services take
    vitals      how the process is doing
    documents   `/openapi.json`, `/openrpc.json`, `/docs`; made by openapi, openrpc and docs_page
    glossary    what the members of bodies mean, once for all of these (schemas)
    serving     how an engine begins and ends; which one it is
    native      the native engine: a task per connection on a raw socket (http_parser, http_answers)
    quart_app   the reference engine: Quart-Trio on Hypercorn, mounting the whole table (strict_h11)
    framing     where a message ends; both engines obey it

Handlers make calls of services out of the requests of `contract`, and texts that back-ends know out of their errors.
They never see a socket or the store's SQL.
"""
