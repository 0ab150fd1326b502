"""The HTTP side, for business back-ends and for clients that ask where to connect.

    endpoints   the one table: method, path, request type, handler
    table       answers requests by that table: token, CORS, decoding, error bodies; knows no HTTP framework
    users, channels, messages, route, health   the handlers, one file per family
    serving     how an engine begins and ends; which one it is
    native      the native engine: a task per connection on a raw socket (http_parser, http_answers)
    quart_app   the reference engine: Quart-Trio on Hypercorn, mounting the whole table (strict_h11)
    framing     where a message ends; both engines obey it

Handlers use services and the router; they never see a socket or the store's SQL.
"""
