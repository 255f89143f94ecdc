"""An archive that speaks DICOMweb: series are found and fetched, results stored; what fails on the way is tried again.

No message holds a UID: they are those of patients.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset

from ..files import atomic_file
from ..refusals import ServerError
from .headers import discreet
from .series import hashed

for _name in ("dicomweb_client", "urllib3", "retrying"):  # they log UIDs
    logging.getLogger(_name).setLevel(logging.CRITICAL)
logger = logging.getLogger(__name__)

AUTHORIZATION = "NOISE2MASK_AUTHORIZATION"  # environment variable; passwords alone may stand in ~/.netrc
WAITS = (1.0, 2.0, 4.0)  # seconds before another try
TIMEOUT = (10.0, 120.0)  # seconds to connect, and for the server to say something
PASSING = {408, 425, 429, 500, 502, 503, 504}  # answers that may be others a little later
OBJECTS = "NumberOfSeriesRelatedInstances"
ENDS = ("Content-Length", "Transfer-Encoding")  # headers that say where an answer ends
Made = TypeVar("Made")


class Found(NamedTuple):
    """A series of an archive."""

    study: str
    series: str
    modality: str
    objects: int = 0  # that it holds; 0 where the archive does not say


class Archive:
    """A DICOMweb server.

    Args:
        url: of its DICOMweb service, such as http://127.0.0.1:8042/dicom-web. A header `Authorization` is taken from
            the environment variable `NOISE2MASK_AUTHORIZATION`, or made from ~/.netrc.

    Raises:
        ValueError: where it is no such URL.
    """

    def __init__(self, url: str) -> None:
        self.host = _host(url)
        self.session = session = requests.Session()
        session.hooks["response"].append(_check_whole)
        if os.environ.get(AUTHORIZATION):  # empty is as good as none, as in an example that was not filled in
            session.auth = _authorized
        self.client = DICOMwebClient(url, session=session, timeout=TIMEOUT, chunk_size=2**31)
        self.client.set_http_retry_params(retry=False)  # its second try at storing would send nothing

    def hang_up(self) -> None:
        """Close the connections before a pause: servers do, and the next request would meet a closed one."""
        self.session.close()

    def series(self, **filters: str) -> list[Found]:
        """Series that match, such as `StudyInstanceUID=..., Modality="US", StudyDate="20260101-"`."""
        fields = ["StudyInstanceUID", "SeriesInstanceUID", "Modality", OBJECTS]
        found = self._search(self.client.search_for_series, search_filters=filters, fields=fields)
        return [Found(*_texts(made, fields[:3]), int(made.get(OBJECTS) or 0)) for made in found]

    def instances(self, series: Found) -> list[str]:
        """UIDs of a series' objects."""
        where = {"study_instance_uid": series.study, "series_instance_uid": series.series}
        return [str(made.SOPInstanceUID) for made in self._search(self.client.search_for_instances, **where)]

    def fetch(self, series: Found, folder: Path) -> list[Path]:
        """Write a series' objects as files, in the encoding that the archive has them in; those there stay.

        Raises:
            ServerError: where an object can not be had; what has been fetched stays and is not fetched again.
        """
        paths: list[Path] = []
        instances = self.instances(series)
        if not instances:
            raise ServerError(f"{self.host} has no objects of series {hashed(series.series)} any more.")
        for instance in sorted(instances):
            paths.append(folder / f"{hashed(instance)}.dcm")
            if not paths[-1].is_file():
                made = self._tried(self.client.retrieve_instance, series.study, series.series, instance)
                with atomic_file(paths[-1]) as file:
                    made.save_as(file, enforce_file_format=True)
        return paths

    def store(self, objects: Sequence[Dataset]) -> None:
        """Store all objects in one request. Storing the same ones again changes nothing.

        Raises:
            ServerError: where it takes not all of them.
        """
        answer = self._tried(self.client.store_instances, objects)
        taken = {str(made.ReferencedSOPInstanceUID) for made in answer.get("ReferencedSOPSequence", [])}
        missing = [made for made in objects if str(made.SOPInstanceUID) not in taken]
        if missing:
            reasons = {f"{int(made.get('FailureReason', 0)):04X}H" for made in answer.get("FailedSOPSequence", [])}
            said = f"reasons {', '.join(sorted(reasons))}" if reasons else "no reason given"
            raise ServerError(f"{self.host} did not store {len(missing)} of {len(objects)} objects ({said}).")

    def _search(self, search: Callable[..., list[dict]], **how: object) -> list[Dataset]:
        """All that matches, also where the server answers in parts; some answer all, whatever the offset."""
        found: dict[str, dict] = {}
        while True:
            part = self._tried(search, offset=len(found), **how)
            new = {json.dumps(made, sort_keys=True): made for made in part}
            if new.keys() <= found.keys():
                with discreet():
                    return [Dataset.from_json(made) for made in found.values()]
            found |= new

    def _tried(self, ask: Callable[..., Made], *args: object, **named: object) -> Made:
        """The answer, after as many tries as `WAITS` allows.

        Raises:
            ServerError: where there is none.
        """
        for wait in (*WAITS, None):
            try:
                return ask(*args, **named)
            except (requests.RequestException, OSError, EOFError, ValueError, LookupError) as error:
                said, passing = _reason(error)
                if wait is None or not passing:
                    raise ServerError(f"{self.host} {said}.") from None  # the cause's text holds UIDs
            logger.warning(f"{self.host} {said}: next try in {wait:g} s.")
            time.sleep(wait)
        raise AssertionError


def _texts(made: Dataset, names: Sequence[str]) -> tuple[str, str, str]:
    study, series, modality = (str(made.get(name, "")) for name in names)
    return study, series, modality


def _reason(error: Exception) -> tuple[str, bool]:
    """What happened, and whether it may pass."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        code = error.response.status_code
        return f"answered {code} ({error.response.reason}){ADVICE.get(code, '')}", code in PASSING
    if isinstance(error, requests.Timeout):
        return "does not answer", True
    if isinstance(error, requests.exceptions.SSLError):
        return "has a certificate that is not trusted; REQUESTS_CA_BUNDLE may name those that are", False
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "broke off in the middle of its answer", True
    if isinstance(error, requests.ConnectionError):
        return "can not be reached, or closed the connection", True
    return f"answered what is no DICOMweb ({type(error).__name__}); expected the URL of its DICOMweb service", True


ADVICE = {
    401: f": give credentials in {AUTHORIZATION} or ~/.netrc",
    403: ": these credentials may not do this",
    404: ": there is no such study, or the URL is not that of its DICOMweb service",
    507: ": its disk is full",
}


def _host(url: str) -> str:
    """Host and port of a URL that names no user: whatever stands before an @ may be a password, and is not repeated."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and "@" not in url and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        expected = "expected http(s)://HOST[:PORT]/PATH, the user's name and password in ~/.netrc"
        raise ValueError(f"The archive's URL can not be used: {expected}.")
    return parts.netloc


def _check_whole(response: requests.Response, *args: object, **named: object) -> None:
    """See that an answer says where it ends: one that is cut off in its header looks like an empty one."""
    if response.status_code == 200 and not any(name in response.headers for name in ENDS):
        raise requests.exceptions.ChunkedEncodingError


def _authorized(request: requests.PreparedRequest) -> requests.PreparedRequest:
    request.headers["Authorization"] = os.environ[AUTHORIZATION]
    return request
