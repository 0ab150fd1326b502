"""A client of the HTTP API for back-ends, on Trio and on asyncio: `async with ApiClient("http://host:5001") as api`.

    client      ApiClient and its groups of methods, one method for each endpoint
    calls       how a method becomes a request, and finds its answer
    answers     reading answers, also those of WuKongIM, which lack what is new here
    transport   requests, and what can go wrong with them (pool: the connections)

Requests and answers are those of `contract`. Nothing of a server is started.
"""

from ..errors import ApiAnswerError as ApiAnswerError
from ..errors import ApiError as ApiError
from ..errors import ApiRefusedError as ApiRefusedError
from ..errors import ApiServerError as ApiServerError
from ..errors import ApiTimeoutError as ApiTimeoutError
from ..errors import ApiUnauthorizedError as ApiUnauthorizedError
from ..errors import ApiUnreachableError as ApiUnreachableError
from ..errors import InvalidArgumentError as InvalidArgumentError
from .client import ApiClient as ApiClient
