"""`/openapi.json`, `/openrpc.json` and `/docs`: what this server speaks, for machines and for people."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

import msgspec

from ..contract.connections import Route
from .context import ApiContext
from .docs_page import write_page
from .guard import Head
from .openapi import describe_api
from .openrpc import describe_calls
from .table import JSON, Document, Endpoint, Query

HTML: Final = "text/html; charset=utf-8"


class ServerDocuments:
    """The documents of one server. Each is put together when it is asked for first."""

    def __init__(self, endpoints: Sequence[Endpoint[Any]], route: Route, *, needs_token: bool) -> None:
        """The documents about these endpoints.

        Args:
            route: where clients connect.
            needs_token: whether the API asks for a manager token.
        """
        self._endpoints = endpoints
        self._route = route
        self._needs_token = needs_token

    @cached_property
    def openapi(self) -> bytes:
        """The HTTP API."""
        return msgspec.json.encode(describe_api(self._endpoints, needs_token=self._needs_token))

    @cached_property
    def openrpc(self) -> bytes:
        """JSON-RPC over WebSocket."""
        return msgspec.json.encode(describe_calls(self._route))

    @cached_property
    def page(self) -> tuple[bytes, str]:
        """Both as HTML, and the security policy of that."""
        return write_page(msgspec.json.decode(self.openapi), msgspec.json.decode(self.openrpc))


def get_openapi(context: ApiContext, _head: Head, _query: Query) -> object:
    """This API, as OpenAPI 3.1."""
    return Document(context.documents.openapi, JSON)


def get_openrpc(context: ApiContext, _head: Head, _query: Query) -> object:
    """JSON-RPC over WebSocket, as OpenRPC 1.3.

    What the server sends by itself is in `x-notifications`.
    """
    return Document(context.documents.openrpc, JSON)


def get_page(context: ApiContext, _head: Head, _query: Query) -> object:
    """Both of these as a page to read, which needs no network."""
    page, security_policy = context.documents.page
    return Document(page, HTML, security_policy)
