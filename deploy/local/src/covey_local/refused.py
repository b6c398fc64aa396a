"""What a person is told instead of a traceback."""

import httpx


class Refused(Exception):
    """Something can't be done; the message is a sentence for whoever asked for it."""


def why(answer: httpx.Response) -> str:
    """Why a service refused, in its own words."""
    try:
        problem = answer.json()
        details = [f"{error['pointer']} {error['detail']}" for error in problem.get("errors", ())]
        said = "; ".join(details) or problem.get("detail") or problem["title"]
        return f"{said} ({answer.status_code} {problem.get('code', '')})"
    except (ValueError, KeyError, AttributeError, TypeError):
        return f"{answer.status_code} {answer.reason_phrase}"
