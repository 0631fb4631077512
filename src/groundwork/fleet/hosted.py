"""What a project's host adds to its row, where one is configured."""

import os
from collections.abc import Collection, Iterator

from .hosts import Api, Found, configured
from .place import Place
from .report import Row
from .rest import NotAllowedError, NotReachedError


def ask(row: Row, place: Place, branches: Collection[str]) -> None:
    """Write into a row what the host of a project knows, or why it does not say.

    `branches` are the names that an update of this project can have.
    """
    for api in configured(os.environ):
        if path := api.host.path(place.address):
            row.page = f"{api.host.server}/{path}"
            row.owner = row.owner or path.rpartition("/")[0]
            answers = list(_answers(api, path, place.branch, branches))
            (row.ci, row.ci_page), (row.request, row.request_page) = (
                (one.words, one.page) for one in answers
            )


def _answers(api: Api, path: str, branch: str, branches: Collection[str]) -> Iterator[Found]:
    reached = True

    def last_ci() -> Found:
        return api.ci(path, branch)

    def update() -> Found:
        opened = {name: one for name, one in api.requests(path) if name in branches}
        words = ", ".join(f"{one.words} {name}" for name, one in opened.items())
        pages = [one.page for one in opened.values()]
        return Found(words, pages[0]) if opened else Found("none")

    for question in (last_ci, update):
        answer = Found("cannot reach")
        if reached:
            try:
                answer = question()
            except NotAllowedError as error:
                answer = Found(str(error))
            except NotReachedError as error:
                # What does not answer once is not waited for again.
                answer, reached = Found(str(error)), False
            except (KeyError, TypeError, AttributeError, ValueError):
                answer, reached = Found("cannot reach: what answers is no API"), False
        yield answer
