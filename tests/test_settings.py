import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from wukong_trio.config import Address, Auth, Config, Limits, Listeners, Retention, RouteAddresses
from wukong_trio.errors import ConfigError
from wukong_trio.hosts import is_from, is_loopback, parse_networks
from wukong_trio.setting_keys import KEYS, UNSUPPORTED
from wukong_trio.setting_kinds import MAX_SECONDS, parse_address, parse_duration, write_duration
from wukong_trio.settings import Loaded, Settings, check, differences, load, to_mapping


def from_yaml(directory: Path, text: str, environ: Mapping[str, str] | None = None, **options: str) -> Loaded:
    file = directory / "wk.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file, environ or {}, {f"--{name}": value for name, value in options.items()})


def refusal(directory: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        from_yaml(directory, text)
    return str(caught.value)


def fields_of(struct: Any, prefix: str = "") -> Iterator[str]:
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if isinstance(value, Struct) and not isinstance(value, Address):
            yield from fields_of(value, f"{prefix}{name}.")
        else:
            yield prefix + name


# --- the table


def test_every_field_has_exactly_one_key_that_is_no_alias() -> None:
    assert sorted(key.field for key in KEYS if not key.alias) == sorted(fields_of(Settings()))


def test_aliases_name_fields_that_have_a_key() -> None:
    assert {key.field for key in KEYS if key.alias} <= {key.field for key in KEYS if not key.alias}


def test_names_options_and_variables_are_unique() -> None:
    for names in ([key.name.lower() for key in KEYS], [key.env for key in KEYS]):
        assert len(names) == len(set(names))
    options = [key.option for key in KEYS if key.option]
    assert len(options) == len(set(options))


def test_no_supported_name_is_listed_as_unsupported() -> None:
    assert not {key.name.lower() for key in KEYS} & {name.lower() for name in UNSUPPORTED}


def test_every_default_passes_its_own_check() -> None:
    check(Config())
    check(Settings())


# --- sources


def test_nothing_given_means_the_defaults_and_the_home_directory() -> None:
    settings, warnings = load(None, {}, {})
    assert warnings == []
    root_dir = Path.home() / "wukongim"
    assert settings == Settings(root_dir=root_dir, data_dir=root_dir / "data")


def test_names_are_case_insensitive_and_nested(tmp_path: Path) -> None:
    settings, warnings = from_yaml(tmp_path, "HTTPADDR: 127.0.0.1:6001\nExternal:\n  wsaddr: ws://im.example.org\n")
    assert warnings == []
    assert settings.listeners.http == Address("127.0.0.1", 6001)
    assert settings.external.ws_addr == "ws://im.example.org"


def test_environment_wins_over_file_and_options_over_both(tmp_path: Path) -> None:
    text = "httpAddr: 127.0.0.1:1\nwsAddr: 127.0.0.1:1\naddr: 127.0.0.1:1\n"
    environ = {"WK_HTTPADDR": "127.0.0.1:2", "WK_WSADDR": "127.0.0.1:2", "OTHER": "x"}
    listeners = from_yaml(tmp_path, text, environ, http="127.0.0.1:3").settings.listeners
    ports = [address.port for address in (listeners.http, listeners.ws, listeners.tcp) if address]
    assert ports == [3, 2, 1]


def test_camel_case_is_not_split_in_variables() -> None:
    environ = {"WK_EXTERNAL_WSADDR": "ws://a", "WK_TOKENAUTHON": "true", "WK_CLUSTER_NODEID": "7"}
    settings, warnings = load(None, environ, {})
    assert (settings.external.ws_addr, settings.auth.token_auth, settings.node_id) == ("ws://a", "on", 7)
    assert warnings == []


def test_variables_of_version_3_are_aliases() -> None:
    environ = {
        "WK_API_LISTEN_ADDR": "127.0.0.1:6001",
        "WK_NODE_ID": "9",
        "WK_EXTERNAL_TCPADDR": "a:1",
        "WK_MESSAGE_PERSON_WHITELIST_ENABLED": "true",
    }
    settings, warnings = load(None, environ, {})
    assert settings.listeners.http == Address("127.0.0.1", 6001)
    assert (settings.node_id, settings.external.tcp_addr, settings.whitelist_off_of_person) == (9, "a:1", False)
    assert warnings == []


@pytest.mark.parametrize(
    "text", ["httpAddr:\n", "httpAddr: ''\n", "httpAddr: null\n", "httpAddr: ~\n", "", "external:\n"]
)
def test_an_empty_value_counts_as_not_given(tmp_path: Path, text: str) -> None:
    settings, warnings = from_yaml(tmp_path, text, {"WK_WSADDR": ""})
    assert settings.listeners == Listeners()
    assert warnings == []


def test_data_dir_wins_over_root_dir_from_any_source(tmp_path: Path) -> None:
    assert from_yaml(tmp_path, "rootDir: /srv/im\n").settings.data_dir == Path("/srv/im/data")
    assert from_yaml(tmp_path, "dataDir: /a\n", {"WK_ROOTDIR": "/b"}).settings.data_dir == Path("/a")
    assert from_yaml(tmp_path, "dataDir: ~/a\n").settings.data_dir == Path.home() / "a"


# --- values


@pytest.mark.parametrize(
    ("text", "value"),
    [("off", "off"), ("auto", "auto"), ("on", "on"), ("'off'", "off"), ("true", "on"), ("False", "off"), ("NO", "off")],
)
def test_token_auth_survives_yaml_booleans(tmp_path: Path, text: str, value: str) -> None:
    assert from_yaml(tmp_path, f"tokenAuth: {text}\n").settings.auth.token_auth == value
    assert from_yaml(tmp_path, f"tokenAuthOn: {text}\n").settings.auth.token_auth == value


@pytest.mark.parametrize("token", ["0123", "1e3", "off", "12:30:00", "2024-01-01"])
def test_text_stays_as_written(tmp_path: Path, token: str) -> None:
    assert from_yaml(tmp_path, f"managerToken: {token}\n").settings.auth.manager_token == token


def test_two_names_for_one_field_must_agree(tmp_path: Path) -> None:
    assert from_yaml(tmp_path, "tokenAuth: on\ntokenAuthOn: true\n").settings.auth.token_auth == "on"
    text = refusal(tmp_path, "tokenAuth: off\ntokenAuthOn: true\n")
    assert "tokenAuthOn" in text
    assert "tokenAuth says otherwise" in text


def test_a_variable_may_overrule_the_other_name_in_the_file(tmp_path: Path) -> None:
    assert from_yaml(tmp_path, "tokenAuth: off\n", {"WK_TOKENAUTHON": "1"}).settings.auth.token_auth == "on"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30.0),
        ("3m", 180.0),
        ("720h", 2_592_000.0),
        ("1d", 86400.0),
        ("1h30m", 5400.0),
        ("1.5s", 1.5),
        ("2", 2.0),
        ("0.25", 0.25),
        (".5m", 30.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "3 m", "-1s", "3x", "1m30", "nan", "inf", "1e3s", "3:00", "m3"])
def test_wrong_durations(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}$"):
        parse_duration(text)


@given(st.floats(0, MAX_SECONDS))
def test_durations_are_written_so_that_they_read_the_same(seconds: float) -> None:
    assert parse_duration(write_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:5200", Address("127.0.0.1", 5200)),
        ("ws://0.0.0.0:5200", Address("0.0.0.0", 5200)),
        ("WS://localhost:0/", Address("localhost", 0)),
        (":65535", Address("0.0.0.0", 65535)),
        ("[::1]:5200", Address("::1", 5200)),
        ("im-1.example.org:80", Address("im-1.example.org", 80)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text, "ws") == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5200",
        "localhost",
        "host:",
        "host:x",
        "host:-1",
        "host:65536",
        "tcp://h:1",
        "::1:80",
        "[h]:1",
        "h:1/x",
        "a b:1",
    ],
)
def test_wrong_addresses(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is for programmers
        parse_address(text, "ws")


def test_lists_from_everywhere(tmp_path: Path) -> None:
    listed = ("https://chat.example.org", "http://[::1]:3000", "null")
    for text in (
        "[https://Chat.example.org, 'http://[::1]:3000', 'null']",
        "https://chat.example.org, http://[::1]:3000,null",
    ):
        assert from_yaml(tmp_path, f"allowedOrigins: {text}\n").settings.auth.allowed_origins == listed
    settings, _ = load(None, {"WK_ALLOWEDORIGINS": ",".join(listed), "WK_ALLOWEDHOSTS": "im.example.org"}, {})
    assert settings.auth.allowed_origins == listed
    assert settings.auth.allowed_hosts == ("im.example.org",)
    assert from_yaml(tmp_path, yaml.safe_dump(to_mapping(settings))).settings == settings
    assert from_yaml(tmp_path, "allowedHosts: []\n").settings.auth.allowed_hosts == ()


@pytest.mark.parametrize(
    ("text", "ip"),
    [
        ("im.example.org", "im.example.org"),
        ("1.2.3.4", "1.2.3.4"),
        ("'2001:db8::1'", "2001:db8::1"),
        ("'[2001:db8::1]'", "2001:db8::1"),
    ],
)
def test_the_host_that_route_gives_out(tmp_path: Path, text: str, ip: str) -> None:
    assert from_yaml(tmp_path, f"external: {{ip: {text}}}\n").settings.external.ip == ip


@pytest.mark.parametrize("text", ["1.2.3.4:5200", "ws://im.example.org", "[im]", "a b", "2001:db8::g", "[1.2.3.4]"])
def test_wrong_hosts_for_route(tmp_path: Path, text: str) -> None:
    for section in ("external", "intranet"):
        message = refusal(tmp_path, f"{section}: {{ip: '{text}'}}\n")
        assert f"{section}.ip = " in message
        assert "without scheme and port" in message
    with pytest.raises(ConfigError, match=r"external\.ip"):
        check(Config(external=RouteAddresses(ip=text)))


def test_everything_may_be_allowed(tmp_path: Path) -> None:
    auth = from_yaml(tmp_path, "allowedOrigins: '*'\nallowedHosts: ['*']\n").settings.auth
    assert (auth.allowed_origins, auth.allowed_hosts) == (("*",), ("*",))


def test_listeners_can_be_switched_off(tmp_path: Path) -> None:
    assert from_yaml(tmp_path, "wsAddr: off\n").settings.listeners.ws is None
    assert from_yaml(tmp_path, "httpAddr: 'off'\n").settings.listeners.http is None
    assert from_yaml(tmp_path, "addr: off\n").settings.listeners.tcp is None
    assert from_yaml(tmp_path, "httpAddr: off\nwsAddr: off\n").settings.listeners.tcp == Address("127.0.0.1", 5100)
    assert "all off" in refusal(tmp_path, "httpAddr: off\naddr: off\nwsAddr: off\n")
    check(Config(listeners=Listeners(http=None, tcp=None, ws=None)))


def test_payloads_are_encrypted_unless_switched_off(tmp_path: Path) -> None:
    assert from_yaml(tmp_path, "").settings.encryption
    assert from_yaml(tmp_path, "disableEncryption: false\n").settings.encryption
    settings, warnings = from_yaml(tmp_path, "disableEncryption: true\n")
    assert (settings.encryption, warnings) == (False, [])
    assert to_mapping(settings)["disableEncryption"] is True
    assert to_mapping(Settings())["disableEncryption"] is False
    assert from_yaml(tmp_path, yaml.safe_dump(to_mapping(settings))).settings == settings


def test_proxies_are_addresses_and_networks(tmp_path: Path) -> None:
    listed = ("10.0.0.0/8", "127.0.0.1", "2001:db8::/32", "::1")
    for text in ("10.0.0.0/8, 127.0.0.1,2001:DB8::/32, '::1'", "10.0.0.0/8, 127.0.0.1, '2001:db8::/32', '::1'"):
        assert from_yaml(tmp_path, f"proxyProtocol: {{from: [{text}]}}\n").settings.proxies == listed
    settings, _ = load(None, {"WK_PROXYPROTOCOL_FROM": " ,".join(listed)}, {})
    assert settings.proxies == listed
    assert from_yaml(tmp_path, yaml.safe_dump(to_mapping(settings))).settings == settings
    assert from_yaml(tmp_path, "").settings.proxies == ()


@pytest.mark.parametrize(
    "text",
    ["10.0.0.1/8", "10.0.0.0/33", "::/129", "10.0.0", "10", "*", "im.example.org", "127.0.0.1:5100", "fe80::1%eth0"],
)
def test_wrong_proxies(tmp_path: Path, text: str) -> None:
    message = refusal(tmp_path, f"proxyProtocol: {{from: [127.0.0.1, '{text}']}}\n")
    assert f"proxyProtocol.from = '127.0.0.1,{text}' (from " in message
    assert message.endswith("for example 127.0.0.1 or 10.0.0.0/8")
    with pytest.raises(ConfigError, match=r"proxyProtocol\.from = "):
        check(Config(proxies=(text,)))


@pytest.mark.parametrize(
    ("network", "host", "inside"),
    [
        ("10.0.0.0/8", "9.255.255.255", False),
        ("10.0.0.0/8", "10.0.0.0", True),
        ("10.0.0.0/8", "10.255.255.255", True),
        ("10.0.0.0/8", "11.0.0.0", False),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "::ffff:11.1.2.3", False),
        ("10.0.0.0/8", "::10.1.2.3", False),
        ("::ffff:10.0.0.0/104", "10.1.2.3", True),
        ("::ffff:10.0.0.0/104", "11.1.2.3", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "10.0.0.2", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "::1", False),
        ("2001:db8::/32", "2001:db8::1", True),
        ("2001:db8::/32", "2001:db9::1", False),
        ("fe80::/10", "fe80::1%eth0", True),
        ("0.0.0.0/0", "1.2.3.4", True),
        ("0.0.0.0/0", "::1", False),
        ("0.0.0.0/0", "", False),
        ("0.0.0.0/0", "localhost", False),
    ],
)
def test_who_is_a_proxy(network: str, host: str, inside: bool) -> None:
    assert is_from(parse_networks([network]), host) is inside
    assert is_from(parse_networks(["192.0.2.1", network]), host) is inside
    assert not is_from((), host)


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("httpAddr: foo", ["httpAddr = 'foo'", "wk.yaml", "127.0.0.1:5001"]),
        ("addr: foo", ["addr = 'foo'", "127.0.0.1:5100, or off"]),
        ("tlsAddr: ws://0.0.0.0:1", ["tlsAddr = 'ws://0.0.0.0:1'", "127.0.0.1:5110, or off"]),
        ("disableEncryption: 2", ["disableEncryption = '2'", "true or false"]),
        ("proxyProtocol: 10.0.0.0/8", ["proxyProtocol = '10.0.0.0/8'", "section"]),
        ("wsAddr: 127.0.0.1:65536", ["wsAddr = '127.0.0.1:65536'", "65535"]),
        ("connIdleTime: 3x", ["connIdleTime = '3x'", "3m"]),
        ("connIdleTime: 0s", ["connIdleTime = '0s'", "more than 0"]),
        ("connIdleTime: 4000d", ["connIdleTime = '4000d'", "at most 3650d"]),
        ("messageRetry: {maxCount: 1.5}", ["messageRetry.maxCount = '1.5'", "from 0 to 1000"]),
        ("cluster: {nodeId: 1024}", ["cluster.nodeId = '1024'", "from 1 to 1023"]),
        ("limits: {rateLimit: nan}", ["limits.rateLimit = 'nan'"]),
        ("tokenAuth: maybe", ["tokenAuth = 'maybe'", "off, auto or on"]),
        ("whitelistOffOfPerson: 2", ["whitelistOffOfPerson = '2'", "true or false"]),
        ("logger: {level: loud}", ["logger.level = 'loud'", "debug, info, warning or error"]),
        ("dataDir: ~nobody-has-this-name/x", ["dataDir = '~nobody-has-this-name/x'"]),
        ('dataDir: "a\\0b"', ["dataDir = 'a\\x00b'", "path"]),
        ('managerToken: "a\\n"', ["managerToken = ******", "line ends"]),
        ("dataDir: [a]", ["dataDir", "not the value of one setting"]),
        ("allowedOrigins: [chat.example.org]", ["allowedOrigins = 'chat.example.org'", "https://chat.example.org"]),
        ("allowedHosts: 'im.example.org:80'", ["allowedHosts = 'im.example.org:80'", "without a port"]),
        ("allowedHosts: [[a]]", ["allowedHosts", "im.example.org"]),
        ("external: 1.2.3.4", ["external = '1.2.3.4'", "section"]),
        ("wsAddr: off\nwsAddr: 127.0.0.1:1", ["wk.yaml', line 2", "'wsAddr' is there twice"]),
        ("external:\n  ip: a\n  ip: b", ["wk.yaml', line 3", "'ip' is there twice"]),
        ("? [wsAddr]\n: off", ["wk.yaml', line 1"]),
        ("httpAddr: [", ["wk.yaml', line ", "not valid YAML"]),
        ("- a", ["wk.yaml", "name: value"]),
    ],
)
def test_a_wrong_value_is_named_with_its_cure(tmp_path: Path, text: str, fragments: list[str]) -> None:
    message = refusal(tmp_path, text + "\n")
    for fragment in fragments:
        assert fragment in message
    assert "\n" not in message


def test_the_source_of_a_wrong_value_is_named() -> None:
    with pytest.raises(ConfigError, match="from WK_HTTPADDR"):
        load(None, {"WK_HTTPADDR": "x"}, {})
    with pytest.raises(ConfigError, match="from --http"):
        load(None, {}, {"--http": "x"})


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml': No such file"):
        load(tmp_path / "nowhere.yaml", {}, {})
    (tmp_path / "binary.yaml").write_bytes(b"a: \xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary\.yaml"):
        load(tmp_path / "binary.yaml", {}, {})


def test_limits_hold_on_both_sides(tmp_path: Path) -> None:
    assert from_yaml(tmp_path, "cluster: {nodeId: 1023}\n").settings.node_id == 1023
    assert from_yaml(tmp_path, "connIdleTime: 3650d\n").settings.limits.conn_idle_time_s == MAX_SECONDS
    assert from_yaml(tmp_path, "wsAddr: 127.0.0.1:65535\n").settings.listeners.ws == Address("127.0.0.1", 65535)
    assert from_yaml(tmp_path, "drainTimeout: 0\n").settings.drain_timeout_s == 0


# --- what has no effect


def test_unsupported_settings_are_listed_in_one_line(tmp_path: Path) -> None:
    text = "mode: release\nwebhook: {grpcAddr: x}\ndatasource: {addr: [a, b]}\ncluster: {nodeId: 5, role: replica}\n"
    settings, warnings = from_yaml(tmp_path, text, {"WK_DATASOURCE_ADDR": "http://x", "WK_MODE": "debug"})
    assert settings.node_id == 5
    (line,) = warnings
    for name in ("mode", "webhook.grpcAddr", "datasource.addr", "cluster.role", "WK_DATASOURCE_ADDR", "WK_MODE"):
        assert name in line
    assert "nodeId" not in line


def test_an_unknown_setting_gets_the_nearest_name(tmp_path: Path) -> None:
    _, warnings = from_yaml(tmp_path, "tokenAuthOnn: true\nqqq: 1\n", {"WK_HTTPADR": "127.0.0.1:1"})
    by_name = {name: line for name in ("tokenAuthOnn", "qqq", "WK_HTTPADR") for line in warnings if f" {name} " in line}
    assert len(warnings) == 3
    assert by_name["tokenAuthOnn"].endswith("did you mean tokenAuthOn?")
    assert by_name["WK_HTTPADR"].endswith("did you mean WK_HTTPADDR?")
    assert by_name["qqq"].endswith("is ignored")


@pytest.mark.parametrize("option", ["data-dir", "manager-token", "http"])
def test_an_empty_option_is_a_mistake(tmp_path: Path, option: str) -> None:
    with pytest.raises(ConfigError, match=f"--{option} = '': the option is empty"):
        from_yaml(tmp_path, "", **{option: ""})


def test_an_empty_data_directory_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    _, warnings = from_yaml(tmp_path, "dataDir: ''\n", {"WK_ROOTDIR": ""})
    assert [line.partition(" ")[0] for line in warnings] == ["dataDir", "WK_ROOTDIR"]


# --- what is open to others


def warnings_of(directory: Path, text: str) -> list[str]:
    return from_yaml(directory, text).warnings


@pytest.mark.parametrize("name", ["addr", "tlsAddr", "wsAddr", "wssAddr"])
def test_users_without_tokens_beyond_this_machine_are_one_warning(tmp_path: Path, name: str) -> None:
    pem = tmp_path / "x.pem"
    pem.write_text("")
    files = f"wssConfig: {{certFile: {pem}, keyFile: {pem}}}\n" if name in ("tlsAddr", "wssAddr") else ""
    (line,) = warnings_of(tmp_path, f"{name}: 0.0.0.0:5200\n{files}")
    for fragment in (f"{name} = '0.0.0.0:5200'", "tokenAuth: auto", "no token is stored", "set tokenAuth: on"):
        assert fragment in line
    (line,) = warnings_of(tmp_path, f"{name}: 0.0.0.0:5200\ntokenAuth: off\n{files}")
    assert "as any user;" in line
    assert warnings_of(tmp_path, f"{name}: 0.0.0.0:5200\ntokenAuth: on\n{files}") == []
    assert warnings_of(tmp_path, f"{name}: 127.0.0.1:5200\n{files}") == []


def test_a_certificate_without_its_listener_is_a_warning(tmp_path: Path) -> None:
    (line,) = from_yaml(tmp_path, "", cert="x.pem").warnings
    assert "wssAddr and tlsAddr are off" in line


def test_differences_are_named() -> None:
    changed = replace(Settings(), log_level="debug", auth=Auth(manager_token="k"))
    assert differences(Settings(), changed) == ["managerToken", "logger.level"]
    assert differences(changed, changed) == []


# --- checks across settings


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "localhost", "LOCALHOST", "::1"])
def test_loopback_hosts(host: str) -> None:
    assert is_loopback(host)
    check(Config(listeners=Listeners(http=Address(host, 5001))))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "im.example.org", "::ffff:10.0.0.1"])
def test_an_open_api_needs_a_token_or_a_word(host: str) -> None:
    listeners = Listeners(http=Address(host, 5001))
    with pytest.raises(ConfigError) as caught:
        check(Config(listeners=listeners))
    for cure in ("managerToken", "allowOpenApi: true", "httpAddr"):
        assert cure in str(caught.value)
    check(Config(listeners=listeners, auth=Auth(manager_token="k")))
    check(Config(listeners=listeners, auth=Auth(allow_open_api=True)))


def test_other_listeners_may_be_open() -> None:
    check(Config(listeners=Listeners(ws=Address("0.0.0.0", 5200), tcp=Address("0.0.0.0", 5100))))


@pytest.mark.parametrize("listener", ["tls", "wss"])
def test_tls_needs_readable_certificate_and_key(tmp_path: Path, listener: str) -> None:
    pem = tmp_path / "x.pem"
    pem.write_text("")
    secure = {listener: Address("127.0.0.1", 5210)}
    with pytest.raises(ConfigError, match=r"wssConfig\.certFile = ''"):
        check(Config(listeners=Listeners(**secure, key_file=pem)))
    with pytest.raises(ConfigError, match=r"wssConfig\.keyFile = ''"):
        check(Config(listeners=Listeners(**secure, cert_file=pem)))
    with pytest.raises(ConfigError, match=r"wssConfig\.keyFile = '.*gone': No such file"):
        check(Config(listeners=Listeners(**secure, cert_file=pem, key_file=tmp_path / "gone")))
    check(Config(listeners=Listeners(**secure, cert_file=pem, key_file=pem)))
    check(Config(listeners=Listeners(cert_file=tmp_path / "gone")))


@pytest.mark.parametrize(
    ("config", "fragment"),
    [
        (Config(listeners=Listeners(http=Address("127.0.0.1", 65536))), "httpAddr = '127.0.0.1:65536'"),
        (Config(listeners=Listeners(ws=Address("127.0.0.1", -1))), "wsAddr"),
        (Config(limits=Limits(outbox_frames=0)), "limits.sendQueueFrames = '0'"),
        (Config(auth=Auth(auth_timeout_s=-1)), "authTimeout = '-1'"),
        (Config(auth=Auth(auth_timeout_s=float("nan"))), "authTimeout = 'nan'"),
        (Config(auth=Auth(token_auth=True)), "tokenAuth = 'True'"),  # type: ignore[arg-type]
        (Config(data_dir="x"), "dataDir = 'x'"),  # type: ignore[arg-type]
        (Config(data_dir=Path("a\0b")), "dataDir = 'a\\x00b'"),
        (Config(listeners=Listeners(ws=Address("a\0b", 1))), "wsAddr = "),
        (Config(listeners=Listeners(ws=Address("h", 1.5))), "wsAddr = 'h:1.5'"),  # type: ignore[arg-type]
        (Config(listeners=Listeners(ws=Address("127.0.0.1", 1), cert_file=Path("\ud800"))), "wssConfig.certFile"),
        (Config(auth=Auth(manager_uid="\ud800")), "managerUID"),
        (Config(encryption=1), "disableEncryption = '1'"),  # type: ignore[arg-type]
        (Config(proxies="10.0.0.0/8"), "proxyProtocol.from = "),  # type: ignore[arg-type]
        (Config(proxies=(1,)), "proxyProtocol.from = "),  # type: ignore[arg-type]
        (Config(auth=Auth(allowed_origins="https://a")), "allowedOrigins"),  # type: ignore[arg-type]
        (Config(auth=Auth(allowed_hosts=("IM.example.org",))), "allowedHosts"),
    ],
)
def test_embedders_are_checked_too(config: Config, fragment: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(config)
    assert fragment in str(caught.value)


# --- writing them down


def test_the_mapping_reads_back_as_the_same_settings(tmp_path: Path) -> None:
    text = """
        {wsAddr: off, httpAddr: "[::1]:1", tokenAuth: off, connIdleTime: 100ms, dataDir: "/d ä", logger: {level: 1},
         limits: {rateLimit: 2.5, maxPayload: 7}, message: {person_whitelist_enabled: true}, external: {ip: "0123"},
         allowedHosts: "a, b"}
    """
    settings = from_yaml(tmp_path, text).settings
    assert settings.log_level == "debug"
    assert from_yaml(tmp_path, yaml.safe_dump(to_mapping(settings))).settings == settings
    defaults = load(None, {}, {}).settings
    assert from_yaml(tmp_path, yaml.safe_dump(to_mapping(defaults))) == Loaded(defaults, [])


def test_the_mapping_has_the_originals_names() -> None:
    tree = to_mapping(Settings())
    assert tree["httpAddr"] == "127.0.0.1:5001"
    assert tree["connIdleTime"] == "3m"
    assert tree["whitelistOffOfPerson"] is True
    assert tree["messageRetry"] == {"interval": "1m", "maxCount": 5, "waitingBytes": 4 * 1024 * 1024}
    assert "tokenAuthOn" not in tree


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (Config(data_dir=cast("Any", "data")), r"dataDir = 'data': .*in a Config give PosixPath\('data'\)"),
        (Config(hook_timeout_s=cast("Any", "30s")), r"hookTimeout = '30s': .*in a Config give 30\.0"),
        (
            Config(listeners=Listeners(ws=cast("Any", "127.0.0.1:1"))),
            r"wsAddr = '127.0.0.1:1': .*in a Config give Address\(host='127.0.0.1', port=1\)",
        ),
        (Config(hook_timeout_s=cast("Any", "soon")), "hookTimeout = 'soon': give a duration"),
    ],
)
def test_the_text_of_a_file_in_a_config(config: Config, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        check(config)


def test_zero_is_written_like_other_numbers() -> None:
    tree = to_mapping(Settings())
    assert tree["retention"]["maxAge"] == "0s"
    assert tree["limits"]["rateLimit"] == 0
    assert not isinstance(tree["limits"]["rateLimit"], str)


def test_secrets_are_masked_everywhere(tmp_path: Path) -> None:
    settings = from_yaml(tmp_path, "managerToken: s3cret\n").settings
    assert to_mapping(settings)["managerToken"] == "******"
    assert to_mapping(Settings())["managerToken"] == ""
    assert "s3cret" not in repr(settings)
    bad = replace(settings, auth=Auth(manager_token=b"s3cret"))  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as caught:
        check(bad)
    assert "s3cret" not in str(caught.value)


def test_the_secret_of_webhooks_is_masked_too(tmp_path: Path) -> None:
    secret = "whsec_" + "QUJD" * 8
    settings = from_yaml(tmp_path, f"webhook: {{secret: {secret}}}\n").settings
    assert settings.webhook.secret == secret
    assert to_mapping(settings)["webhook"]["secret"] == "******"
    assert "QUJD" not in repr(settings)


def test_retention_settings(tmp_path: Path) -> None:
    assert from_yaml(tmp_path, "").settings.retention == Retention(max_age_s=0, max_per_channel=0)
    text = "retention: {maxAge: 720h, maxPerChannel: 100000}\n"
    assert from_yaml(tmp_path, text).settings.retention == Retention(max_age_s=720 * 3600, max_per_channel=100_000)
    environ = {"WK_RETENTION_MAXAGE": "30d", "WK_RETENTION_MAXPERCHANNEL": "1"}
    assert load(None, environ, {}).settings.retention == Retention(max_age_s=30 * 86400, max_per_channel=1)
    for name, value in (("maxAge", "-1s"), ("maxAge", "often"), ("maxPerChannel", "-1"), ("maxPerChannel", "1.5")):
        assert f"retention.{name} = " in refusal(tmp_path, f"retention: {{{name}: '{value}'}}\n")


def test_webhook_settings_from_everywhere(tmp_path: Path) -> None:
    settings, warnings = from_yaml(
        tmp_path,
        "webhook:\n  httpAddr: http://127.0.0.1:8090/v1/webhook?k=v\n  focusEvents: [msg.notify, user.onlinestatus]\n"
        "  msgNotifyEventRetryMaxCount: 5\n  maxAge: 1d\nchannel: {subscriberCompressOfCount: 1000}\n",
        {"WK_WEBHOOK_MSGNOTIFYEVENTPUSHINTERVAL": "100ms", "WK_WEBHOOK_MAXWAITING": "7"},
    )
    assert warnings == []
    webhook = settings.webhook
    assert webhook.http_addr == "http://127.0.0.1:8090/v1/webhook?k=v"
    assert webhook.focus_events == ("msg.notify", "user.onlinestatus")
    assert (webhook.retry_max_count, webhook.max_age_s, webhook.compress_of_count) == (5, 86400, 1000)
    assert (webhook.push_interval_s, webhook.max_waiting) == (0.1, 7)
    assert from_yaml(tmp_path, yaml.safe_dump(to_mapping(settings))).settings == settings
    environ = {"WK_WEBHOOK_FOCUSEVENTS": "msg.notify  msg.offline", "WK_WEBHOOK_HTTP_ADDR": "https://a"}
    webhook = load(None, environ, {}).settings.webhook
    assert (webhook.focus_events, webhook.http_addr) == (("msg.notify", "msg.offline"), "https://a")
    assert from_yaml(tmp_path, "webhook: {url: http://a}\n").settings.webhook.http_addr == "http://a"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("httpAddr", "127.0.0.1:8090"),
        ("httpAddr", "ftp://a"),
        ("httpAddr", "http://"),
        ("httpAddr", "http://:80"),
        ("httpAddr", "http://a:65536"),
        ("httpAddr", "http://a/#b"),
        ("httpAddr", "http://a b"),
        ("secret", "whsec_***"),
        ("secret", "QUJD" * 8),
        ("secret", "whsec_" + b64encode(bytes(23)).decode()),
        ("secret", "whsec_" + b64encode(bytes(65)).decode()),
        ("focusEvents", "msg.stream"),
        ("msgNotifyEventCountPerPush", "0"),
        ("msgNotifyEventCountPerPush", "1001"),
        ("msgNotifyEventRetryMaxCount", "-1"),
        ("maxWaiting", "0"),
        ("maxAge", "0s"),
    ],
)
def test_wrong_webhook_settings(tmp_path: Path, name: str, text: str) -> None:
    message = refusal(tmp_path, f"webhook: {{{name}: '{text}'}}\n")
    assert f"webhook.{name} = " in message
    assert name != "secret" or text not in message


@pytest.mark.parametrize("size", [24, 64])
def test_secrets_of_the_smallest_and_the_largest_size(tmp_path: Path, size: int) -> None:
    secret = "whsec_" + b64encode(bytes(size)).decode()
    assert from_yaml(tmp_path, f"webhook: {{secret: {secret}}}\n").settings.webhook.secret == secret


def test_a_mask_is_not_a_secret(tmp_path: Path) -> None:
    assert "managerToken" in refusal(tmp_path, "managerToken: '******'\n")
    loaded = from_yaml(tmp_path, "managerToken: '******'\n", {"WK_MANAGERTOKEN": "real"})
    assert loaded.settings.auth.manager_token == "real"


def test_the_documentation_lists_every_key() -> None:
    page = (Path(__file__).parent.parent / "docs" / "settings.md").read_text()
    listed = set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE))
    assert listed == {key.name for key in KEYS if not key.alias}
    assert all(f"`{key.name}" in page for key in KEYS if key.alias)


def test_the_documentation_names_the_field_of_every_key() -> None:
    page = (Path(__file__).parent.parent / "docs" / "settings.md").read_text()
    documented = dict(re.findall(r"^\| `([^`]+)` \|[^|]*\|[^|]*\| (?:`([^`]+)`[^|]*)? \|", page, re.MULTILINE))
    assert documented == {key.name: key.field if in_config(key.field) else "" for key in KEYS if not key.alias}


def in_config(field: str) -> bool:
    value: object = Config()
    for name in field.split("."):
        if not hasattr(value, name):
            return False
        value = getattr(value, name)
    return True
