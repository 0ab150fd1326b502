"""A client of the HTTP API for back-ends, on Trio and on asyncio: `async with ApiClient("http://host:5001") as api`.

    client      ApiClient and its groups of methods, one method for each endpoint
    calls       how a method becomes a request, and finds its answer
    answers     reading answers, also those of WuKongIM, which lack what is new here
    transport   the connections, and what can go wrong with them

Requests and answers are those of `contract`. Nothing of a server is started.
"""

from .client import ApiClient as ApiClient
