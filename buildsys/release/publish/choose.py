"""Which destination a text such as github:OWNER/REPOSITORY means."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from requests.auth import AuthBase, HTTPBasicAuth

from buildsys.errors import NoRightsError, UnknownNameError
from buildsys.release.publish import github, oci, s3
from buildsys.release.publish.base import Destination
from buildsys.release.publish.folder import Folder
from buildsys.release.publish.http import Bearer, Client, demand_url
from buildsys.release.publish.store import StoreDestination
from buildsys.release.publish.webdav import WebDav

FORMS = (
    "folder:PATH",
    "github:OWNER/REPOSITORY",
    "oci:https://REGISTRY/REPOSITORY",
    "s3:https://ENDPOINT/BUCKET[/PREFIX]",
    "webdav:https://HOST/PATH",
)


def destination(text: str, environment: Mapping[str, str]) -> Destination:
    """The destination, with its credentials from `environment`.

    Raises `UnknownNameError` for another form, `NoRightsError` where a credential is not set.
    """
    kind, _, address = text.partition(":")
    if not address:
        raise UnknownNameError("destination", text, FORMS)
    if kind == "folder":
        return Folder(Path(address))
    if kind == "github" and address.count("/") == 1:
        return _github(address, environment)
    if kind == "oci":
        return registry(demand_url(address), environment)
    if kind == "s3":
        url = demand_url(address)
        return StoreDestination(s3.S3(Client(url, s3.signed(environment), s3.RIGHTS), url))
    if kind == "webdav":
        url = demand_url(address)
        rights = "check WEBDAV_USER and WEBDAV_PASSWORD, and what they may write there"
        auth = _basic("WEBDAV", environment)
        return StoreDestination(WebDav(Client(url, auth, rights), url))
    raise UnknownNameError("destination", text, FORMS)


def _github(repository: str, environment: Mapping[str, str]) -> github.GitHub:
    token = environment.get("GITHUB_TOKEN")
    if not token:
        raise NoRightsError(
            f"no credentials for {repository}: GITHUB_TOKEN is not set", action=github.RIGHTS
        )
    # GitHub's own workflows set the second one.
    api = demand_url(environment.get("GITHUB_API_URL") or "https://api.github.com")
    client = Client(f"github.com/{repository}", Bearer(token), github.RIGHTS)
    return github.GitHub(client, api, repository)


def registry(url: str, environment: Mapping[str, str]) -> oci.Registry:
    """The repository at `url`. Raises `UnknownNameError` for one without a name."""
    parts = urlsplit(url)
    name = parts.path.strip("/")
    if not name:
        raise UnknownNameError("destination", f"oci:{url}", FORMS)
    client = Client(f"{parts.netloc}/{name}", _basic("REGISTRY", environment), oci.RIGHTS)
    return oci.Registry(client, f"{parts.scheme}://{parts.netloc}", name)


def _basic(prefix: str, environment: Mapping[str, str]) -> AuthBase | None:
    user, password = (environment.get(f"{prefix}_{part}") for part in ("USER", "PASSWORD"))
    return HTTPBasicAuth(user, password) if user and password else None
