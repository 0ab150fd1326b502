"""What requests and answers of the HTTP API look like: Structs, and nothing that works with them.

The server (`api`) and the client for back-ends (`api_client`) share them. Names are WuKongIM's, a member that is
missing has its default, and flags are 0 or 1. What the names mean is in `api/glossary.py`.

    fields      numbers with bounds
    answers     what many endpoints answer
    users, channels, messages, history, connections, monitor   one file per family
"""
