"""Who asks, and what they may: API keys lead to an owner and a tier."""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Self
from urllib.parse import urlsplit

import attrs
from fastapi import Depends, HTTPException
from fastapi.requests import HTTPConnection
from fastapi.security import APIKeyHeader, APIKeyQuery, HTTPAuthorizationCredentials, HTTPBearer

from isomix.domain.limits import TIERS, Limits
from isomix.errors import InvalidOptions

NOBODY = "local"
"""The one owner where there are no keys."""


@attrs.frozen
class Keys:
    """The API keys of this server; without any, everybody is one owner.

    Parameters
    ----------
    owners : mapping of str to str
        Owner by key.
    tiers : mapping of str to str
        Tier by owner.
    """

    owners: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    tiers: Mapping[str, str] = attrs.field(factory=lambda: {NOBODY: "pro"})

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read ``ISOMIX_API_KEYS``, such as ``"k3y=ann:pro,s3cret=bob:free"``, and ``ISOMIX_TIER``, for nobody's tier.

        Raises
        ------
        InvalidOptions
            If they cannot be read.

        Examples
        --------
        >>> Keys.from_environment({"ISOMIX_API_KEYS": "k3y=ann:free"}).limits_of("ann").tier
        'free'
        """
        owners: dict[str, str] = {}
        tiers = {NOBODY: environment.get("ISOMIX_TIER") or "pro"}
        for entry in filter(None, map(str.strip, environment.get("ISOMIX_API_KEYS", "").split(","))):
            key, _, who = entry.partition("=")
            owner, _, tier = who.partition(":")
            if not (key and owner and tiers.setdefault(owner, tier or "free") == (tier or "free")):
                raise InvalidOptions("ISOMIX_API_KEYS is KEY=OWNER:TIER,...", option="ISOMIX_API_KEYS", value="...")
            owners[key] = owner
        for tier in tiers.values():
            if tier not in TIERS:
                raise InvalidOptions(f"there is no tier {tier!r}: {', '.join(TIERS)}", option="tier", value=tier)
        return cls(owners, tiers)

    def limits_of(self, owner: str) -> Limits:
        """Return an owner's limits; give it to `Studio.open`."""
        return TIERS[self.tiers.get(owner, "free")]

    def find_owner(self, key: str | None) -> str | None:
        """Return whose key it is, in a time that does not tell how much of it was right; None if it is nobody's."""
        if not self.owners:
            return NOBODY
        given, found = (key or "").encode(), None
        for known, owner in self.owners.items():
            if hmac.compare_digest(known.encode(), given):
                found = owner
        return found


@cache
def _from_environment() -> Keys:
    return Keys.from_environment()


def limits_of(owner: str) -> Limits:
    """Return an owner's limits by the environment: for workers, ``ISOMIX_LIMITS=examples.http_app.auth:limits_of``."""
    return _from_environment().limits_of(owner)


_bearer = HTTPBearer(auto_error=False)
_header = APIKeyHeader(name="X-API-Key", auto_error=False)
_query = APIKeyQuery(name="key", auto_error=False, description="for sockets and links, which cannot send headers")


def find_owner(connection: HTTPConnection) -> str | None:
    """Return who asks, by ``Authorization: Bearer``, ``X-API-Key`` or ``?key=``; None if no key is right."""
    keys: Keys = connection.app.state.keys
    if not keys.owners and _is_foreign(connection):
        return None
    scheme, _, bearer = connection.headers.get("Authorization", "").partition(" ")
    given = bearer.strip() if scheme.lower() == "bearer" else connection.headers.get("X-API-Key")
    return keys.find_owner(given or connection.query_params.get("key"))


def _is_foreign(connection: HTTPConnection) -> bool:
    """Tell whether another web site's page makes its visitor ask: where no key is needed, that needs a stop."""
    origin = connection.headers.get("Origin")
    is_own = origin is None or urlsplit(origin).netloc == connection.headers.get("Host")
    return not is_own and origin not in connection.app.state.origins


def _get_owner(
    connection: HTTPConnection,
    _bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],  # these three are for the OpenAPI
    _header: Annotated[str | None, Depends(_header)],
    _query: Annotated[str | None, Depends(_query)],
) -> str:
    owner = find_owner(connection)
    if owner is None:
        raise HTTPException(401, "an API key is needed, and this is none", headers={"WWW-Authenticate": "Bearer"})
    return owner


Owner = Annotated[str, Depends(_get_owner)]
"""A parameter of this type is who asks; without a right key the answer is 401."""
