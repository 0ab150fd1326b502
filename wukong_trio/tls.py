"""The certificate of the listeners with TLS, which can be changed while it is in use."""

import ssl
from pathlib import Path
from typing import NoReturn

from .errors import ConfigError


class Certificate:
    """A certificate and its key, and the TLS context for everybody who connects."""

    def __init__(self, cert_file: Path, key_file: Path) -> None:
        """Reads the files.

        Raises:
            ConfigError: they cannot be used; says why and what would be right.
        """
        self._files = cert_file, key_file
        self._current = self.context = _load(cert_file, key_file)
        self.context.sni_callback = self._choose

    def reload(self) -> None:
        """Reads the files again. Who connects from now on sees the new certificate; open connections stay as they are.

        Raises:
            ConfigError: they cannot be used; the certificate in use stays.
        """
        self._current = _load(*self._files)

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        # OpenSSL calls this for every handshake, with or without a name. Loading new files into the context itself
        # would spoil it if they do not belong together.
        connection.context = self._current


def _load(cert_file: Path, key_file: Path) -> ssl.SSLContext:
    def refuse() -> NoReturn:
        # Without this OpenSSL asks on the terminal.
        raise ConfigError(
            f"wssConfig.keyFile = '{key_file}': the key is encrypted; "
            f"decrypt it with `openssl pkey -in {key_file} -out FILE` and give that file, readable for the server only"
        )

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert_file, key_file, refuse)
    except OSError as error:
        raise ConfigError(f"wssConfig: '{cert_file}' with the key '{key_file}': {_problem(error)}") from None
    return context


def _problem(error: OSError) -> str:
    if not isinstance(error, ssl.SSLError):
        return f"{error.strerror}; give the paths of readable PEM files"
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key is another certificate's; give the key that belongs to it"
    return (
        f"not a certificate and a key in PEM ({error.reason or error}); give the chain as certFile, the key as keyFile"
    )
