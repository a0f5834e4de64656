"""What can go wrong. Errors of the codec carry the name of the rule that was broken, as in `Protocols/vectors`."""
from __future__ import annotations

from typing import TYPE_CHECKING, Mapping

if TYPE_CHECKING:
    from .client import Ranking
    from .message import Header
    from .registry import Status

CORRUPT_RULES = frozenset({
    "headChecksum", "tableChecksum", "payloadChecksum", "lz4Truncated", "lz4Magic", "lz4Flags", "lz4BlockSize", "lz4ContentSize",
    "lz4HeaderChecksum", "lz4Block", "lz4Output", "lz4Trailing"})
"""Rules that damage on the way can break (8.1): they fail one request. All others are a fault of the peer's program."""


class GLTPError(Exception):
    """Any error of this package."""


class RuleError(GLTPError):
    """A message breaks a rule of the specification."""

    def __init__(self, rule: str, detail: str = "") -> None:
        super().__init__(f"{rule}: {detail}" if detail else rule)
        self.rule = rule
        self.detail = detail


class DecodeError(RuleError):
    """Received bytes are no valid message. `header` is there if the head at least was whole."""

    def __init__(self, rule: str, detail: str = "", header: Header | None = None) -> None:
        super().__init__(rule, detail)
        self.header = header

    @property
    def corrupt(self) -> bool:
        """Whether damage on the way explains it, so that only the request fails and not the session (8.1)."""
        return self.rule in CORRUPT_RULES


class EncodeError(RuleError, ValueError):
    """A message cannot be sent, because the receiver would have to refuse it."""


class OverBudget(DecodeError):
    """The process has too many decoded tensors alive: no fault of the message, the answer is OVERLOADED (8)."""


class ClientClosed(GLTPError):
    """The client was closed while, or before, the call was running."""


class NoGateway(GLTPError):
    """No gateway answered in time. `failures` says for each one that was tried how it failed."""

    def __init__(self, failures: Mapping[str, str], ranking: Ranking | None = None) -> None:
        tried = "; ".join(f"{endpoint}: {why}" for endpoint, why in failures.items())
        super().__init__(f"no gateway is available ({tried or 'none was tried'})")
        self.failures = dict(failures)
        self.ranking = ranking


class RequestFailed(GLTPError):
    """The request ended with another status than OK. `ranking` is the newest snapshot, if any came."""

    def __init__(self, status: Status | int, detail: str = "", ranking: Ranking | None = None, attempts: int = 1) -> None:
        name = getattr(status, "name", str(status))
        super().__init__(f"{name}: {detail}" if detail else name)
        self.status = status
        self.detail = detail
        self.ranking = ranking
        self.attempts = attempts


class DeadlineExceeded(RequestFailed):
    """The deadline expired before there was any ranking."""


class UnknownUser(RequestFailed):
    """No such user in the gateway's bundle."""


class UnknownItem(RequestFailed):
    """The request names an item that is not in the gateway's bundle."""
