"""The public names. A change here is a change of the API: note it in the changelog."""

import subprocess
import sys

import wukong_trio
import wukong_trio.api_client
import wukong_trio.testing


def public(module: object) -> set[str]:
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not hasattr(value, "__path__") and type(value).__name__ != "module"
    }


def test_the_package_exports_what_is_documented() -> None:
    assert public(wukong_trio) == {
        "Address", "Auth", "ChannelFlags", "ChannelKey", "ChannelType", "Client", "ClientState", "Config",
        "ConfigError", "ConnectInfo", "ConnectionClosed", "Conversation", "ConversationChanges", "ConversationView",
        "DeviceLevel", "Endpoints", "Event", "EventRefusedError", "EventResult", "FoundMessage", "Idempotency",
        "InternalError", "InvalidArgumentError", "InvalidCommandError", "Limits", "Listeners", "Message",
        "MessageAccepted", "MessageEvent", "MessageRetry", "MessagesMissed", "Page", "PullMode", "ReasonCode",
        "RefusedError", "RequestError", "Retention", "RouteAddresses", "Search", "SearchQuery", "SearchResult",
        "SearchUnavailableError", "SendCommand", "SendRefusedError", "SendResult", "Server", "ServerStatistics",
        "SessionClosed", "SessionOpened", "Snapshot", "StoreError", "StoreOpenError", "StoredEvent", "StreamStatus",
        "SyncedEvents", "Traffic", "Webhook", "WukongError", "open_client", "open_server", "open_store", "serve",
    }  # fmt: skip


def test_the_test_helpers_export_what_is_documented() -> None:
    assert public(wukong_trio.testing) == {
        "RawClient", "RawPacketClient", "SocketClosed", "config_for_tests", "open_raw_client", "open_raw_packet_client",
        "open_test_server",
    }  # fmt: skip


def test_the_client_for_back_ends_exports_what_is_documented() -> None:
    assert public(wukong_trio.api_client) - {"answers", "calls", "client", "transport"} == {
        "ApiAnswerError", "ApiClient", "ApiError", "ApiRefusedError", "ApiServerError", "ApiTimeoutError",
        "ApiUnauthorizedError", "ApiUnreachableError", "InvalidArgumentError",
    }  # fmt: skip


def test_importing_the_package_leaves_the_heavy_libraries_alone() -> None:
    heavy = {"quart", "hypercorn", "structlog", "yaml", "sqlite3", "click", "rich", "plotly", "httpx"}
    heavy |= {"wukong_trio.bench", "wukong_trio.api_client"}
    code = f"import sys, wukong_trio; print(*{heavy} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
