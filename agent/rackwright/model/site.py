"""What a site says of its nodes: how they are reached, and how they are cabled."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from rackwright.model.secret import Secret

PORT_NUMBER = msgspec.Meta(ge=1, le=65535)
SHA256 = r"^(?:[0-9A-Fa-f]{64}|(?:[0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}|)$"


class Ssh(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """SSH, with a password or a key. ``host_key`` pins the device (an OpenSSH public key)."""

    host: str
    port: Annotated[int, PORT_NUMBER] = 22
    username: str = ""
    password: Annotated[str, Secret] = ""
    key: Annotated[str, Secret] = ""
    """Private key text (a secret reference), OpenSSH or PEM."""
    enable: Annotated[str, Secret] = ""
    host_key: str = ""
    legacy: bool = False
    """Offer SHA-1 key exchanges and ssh-rsa host keys too, for old devices."""


class Serial(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A serial line: a device, a pty, ``socket://host:port`` or ``rfc2217://host:port``."""

    port: str
    baud: Annotated[int, msgspec.Meta(ge=50)] = 9600
    username: str = ""
    password: Annotated[str, Secret] = ""
    enable: Annotated[str, Secret] = ""


class Snmp(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """SNMP v2c (``community``) or v3 (``username`` with ``auth`` and ``priv`` passphrases)."""

    host: str
    port: Annotated[int, PORT_NUMBER] = 161
    version: Literal["2c", "3"] = "2c"
    community: Annotated[str, Secret] = ""
    username: str = ""
    auth: Annotated[str, Secret] = ""
    auth_protocol: Literal["MD5", "SHA", "SHA224", "SHA256", "SHA384", "SHA512"] = "SHA"
    priv: Annotated[str, Secret] = ""
    priv_protocol: Literal["DES", "AES", "AES192", "AES256"] = "AES"
    timeout: Annotated[float, msgspec.Meta(gt=0, le=60)] = 2.0
    retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = 2


class Http(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """HTTPS with basic or session credentials. The certificate is always checked: against the
    system's authorities, or ``ca`` instead of them, or the pin ``fingerprint`` alone."""

    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^/@?#]+/?$")]
    """``https://10.0.0.5`` or ``https://bmc.example:8443``; ``http://`` on this host only."""
    username: str = ""
    password: Annotated[str, Secret] = ""
    ca: str = ""
    """PEM text."""
    fingerprint: Annotated[str, msgspec.Meta(pattern=SHA256)] = ""
    """SHA-256 of the device's own certificate in hexadecimal, as ``openssl x509 -fingerprint
    -sha256`` prints it; with it neither name nor issuer of the certificate matters."""
    timeout: Annotated[float, msgspec.Meta(gt=0, le=600)] = 30.0
    """Seconds without a byte of an answer."""


class Ipmi(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """IPMI 2.0 (RMCP+) with a management controller."""

    host: str
    port: Annotated[int, PORT_NUMBER] = 623
    username: str = ""
    password: Annotated[str, Secret] = ""
    cipher: Literal[3, 17] = 17
    """Cipher suite (IPMI 2.0, table 22-20): 17 is SHA-256, 3 the SHA-1 of older controllers."""


TRANSPORTS: dict[str, type[Ssh] | type[Serial] | type[Snmp] | type[Http] | type[Ipmi]] = {
    "ssh": Ssh,
    "serial": Serial,
    "snmp": Snmp,
    "http": Http,
    "ipmi": Ipmi,
}


class Way(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of ``reach``: a transport with its options, and from where it can be used."""

    transport: str
    options: dict[str, Any]
    """As rendered: secrets are markers. See `TRANSPORTS` for the type of each transport's options."""
    network: str = ""
    """Any host that offers this network can use it."""
    at: str = ""
    """Only this host can use it."""
    hosts: tuple[str, ...] = ()
    """The hosts that can use it; empty: any."""


class Link(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A cable, slot or export between a port of this node and a port of another."""

    port: str
    peer: str
    peer_port: str
    trust: Literal["", "declared"] = ""
    """``declared``: what is seen against it is wrong, and holds nothing up."""


class Node(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One node of the site as its agent needs it."""

    name: str
    type: str
    platform: str
    reach: tuple[Way, ...] = ()
    links: tuple[Link, ...] = ()

    @property
    def managed(self) -> bool:
        """Whether a delegate converges it."""
        return bool(self.reach)
