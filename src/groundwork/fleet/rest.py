"""Requests to the API of a host, each with a deadline; why there is no answer, in a few words."""

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

# One request may take so long, an answer be so big, and a list have so many pages.
SECONDS, BYTES, PAGES = 10, 20_000_000, 20
REFUSALS = {
    401: "not allowed: the host does not take the token",
    403: "not allowed: the token may not read this",
    404: "not allowed, or not there",
    429: "not allowed: too many requests",
}


class NotAllowedError(Exception):
    """A host says no, in words for a table."""


class NotReachedError(Exception):
    """There is no answer that means anything, in words for a table."""


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follow a redirection, as of a renamed repository, only where the token may go too."""

    def redirect_request(  # noqa: PLR0913, PLR0917 - as it is overridden
        self,
        req: urllib.request.Request,
        fp: Any,  # noqa: ANN401
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the next request. Raises NotReachedError where that is to another host."""
        if urlsplit(newurl)[:2] != urlsplit(req.full_url)[:2]:
            raise NotReachedError("cannot reach: the host leads to another one")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def get(url: str, headers: Mapping[str, str]) -> Any:  # noqa: ANN401
    """Return what a host answers, as JSON.

    Raises:
        NotAllowedError: it refuses.
        NotReachedError: it does not answer in time, or with something else.
    """
    return _get(url, headers)[0]


def pages(url: str, headers: Mapping[str, str]) -> Iterator[Any]:
    """Yield the entries of a list, page after page. Raises what `get` does."""
    for _ in range(PAGES):
        entries, url = _get(url, headers)
        yield from entries
        if not url:
            return
    raise NotReachedError(f"cannot reach: the list has more than {PAGES} pages")


def _get(url: str, headers: Mapping[str, str]) -> tuple[Any, str]:
    """Return an answer, and the address of the page after it, if there is one."""
    opener = urllib.request.build_opener(_SameHost())
    # The address was checked when the host was configured.
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310
    ends = time.monotonic() + SECONDS
    try:
        with opener.open(request, timeout=SECONDS) as response:
            content = b""
            while part := response.read1(1 << 16):
                content += part
                if time.monotonic() > ends:
                    raise TimeoutError
                if len(content) > BYTES:
                    raise NotReachedError("cannot reach: the answer is too big")
            link = response.headers.get("Link", "")
        answer = json.loads(content)
    except urllib.error.HTTPError as error:
        error.close()
        if error.headers.get("X-RateLimit-Remaining") == "0":
            raise NotAllowedError(REFUSALS[429]) from None
        if error.code in REFUSALS:
            raise NotAllowedError(REFUSALS[error.code]) from None
        raise NotReachedError(f"cannot reach: the host answers {error.code}") from None
    except ValueError:
        raise NotReachedError("cannot reach: what answers is no API") from None
    except (OSError, http.client.HTTPException) as error:
        raise NotReachedError(f"cannot reach: {_why(error)}") from None
    following = re.search(r'<([^>]*)>;[^,]*\brel="next"', link)
    after = following[1] if following else ""
    if after and urlsplit(after)[:2] != urlsplit(url)[:2]:
        raise NotReachedError("cannot reach: the host leads to another one")
    return answer, after


def _why(error: BaseException) -> str:
    """Return why there was no answer, without the address that was asked."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return f"no answer in {SECONDS} s"
    said = getattr(reason, "strerror", None) or type(reason).__name__
    return " ".join(str(said).split())
