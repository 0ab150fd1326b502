"""The HTTP side, for business back-ends and for clients that ask where to connect.

    endpoints   the one table: method, path, request type, handler
    table       answers requests by that table: token, CORS, decoding, error bodies; knows no HTTP framework
    users, channels, messages, route, health   the handlers, one file per family
    quart_app   the engine: Quart-Trio on Hypercorn, mounting the whole table

Handlers use services and the router; they never see a socket or the store's SQL.
"""
