"""`style = "certdata"`: Mozilla's list of certificate authorities becomes one PEM file.

Format: certdata.txt of NSS, a list of PKCS #11 objects as text; octal escapes hold their bytes.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping

from buildsys.errors import CheckError, ConfigError
from buildsys.model import CertdataOptions
from buildsys.styles.context import Context

NAME = "ca-certificates.crt"
"""The file in `out`, as Debian names it."""

SERVERS = "CKT_NSS_TRUSTED_DELEGATOR"
"""Trust of an authority that may vouch for servers (NSS, pkcs11n.h)."""

_OBJECT = re.compile(r"^CKA_CLASS CK_OBJECT_CLASS (\w+)$", re.M)
_OCTAL = re.compile(r"^(CKA_\w+) MULTILINE_OCTAL\n(.*?)^END$", re.M | re.S)
_TRUST = re.compile(r"^CKA_TRUST_SERVER_AUTH CK_TRUST (\w+)$", re.M)


def build(context: Context) -> None:
    """Write `ca-certificates.crt`. Raises `CheckError` where the list has no trusted authority."""
    options = context.recipe.options
    assert isinstance(options, CertdataOptions)
    path = context.sandbox.host("src") / options.file
    if not path.is_file():
        where = f"recipes/{context.recipe.name}/recipe.toml"
        raise ConfigError([f"{where}: certdata.file: no {options.file} in the source"])
    certificates = [ssl.DER_cert_to_PEM_cert(der) for der in trusted(path.read_text("utf-8"))]
    if not certificates:
        raise CheckError(
            f"{context.recipe.name}: {options.file} holds no authority that is trusted for servers",
            cause="it is another file, or its format changed",
            action="look at the file; compare with buildsys/styles/certdata.py",
        )
    (context.sandbox.host("out") / NAME).write_text("".join(certificates), "ascii")


def trusted(text: str) -> Iterator[bytes]:
    """The certificates (DER) that `text` trusts for servers, in its order."""
    objects = list(_objects(text))
    allowed = {
        _identity(fields)
        for kind, body, fields in objects
        if kind == "CKO_NSS_TRUST" and (found := _TRUST.search(body)) and found[1] == SERVERS
    }
    for kind, _, fields in objects:
        if kind == "CKO_CERTIFICATE" and _identity(fields) in allowed:
            yield fields["CKA_VALUE"]


def _objects(text: str) -> Iterator[tuple[str, str, Mapping[str, bytes]]]:
    """Each object: its class, its text, and its values in octal."""
    parts = _OBJECT.split(text)[1:]
    for kind, body in zip(parts[::2], parts[1::2], strict=True):
        yield kind, body, {name: _bytes(octal) for name, octal in _OCTAL.findall(body)}


def _bytes(octal: str) -> bytes:
    return bytes(int(code, 8) for code in re.findall(r"\\([0-7]{3})", octal))


def _identity(fields: Mapping[str, bytes]) -> tuple[bytes, bytes]:
    """Issuer and serial number name a certificate (RFC 5280, 4.1.2.2)."""
    return fields["CKA_ISSUER"], fields["CKA_SERIAL_NUMBER"]
