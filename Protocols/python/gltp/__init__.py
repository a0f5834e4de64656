"""GLTP/1, the protocol of GLTA: codec and client. Written from gltp-1.md alone; numbers in comments are its sections."""
from .client import Client, Ranking, RankingStream
from .codec import CLIENT_EDGE, IN_PROCESS, NETWORK, Limits, MemoryBudget, decode, encode
from .errors import (
    ClientClosed,
    DeadlineExceeded,
    DecodeError,
    EncodeError,
    GLTPError,
    NoGateway,
    OverBudget,
    RequestFailed,
    RuleError,
    UnknownItem,
    UnknownUser,
)
from .message import Header, Message, Tensor, Timing, message
from .registry import Codec, Flag, Kind, Mode, Priority, Role, Stage, Status, Stream

__all__ = [
    "CLIENT_EDGE", "IN_PROCESS", "NETWORK", "Client", "ClientClosed", "Codec", "DeadlineExceeded", "DecodeError", "EncodeError",
    "Flag", "GLTPError", "Header", "Kind", "Limits", "MemoryBudget", "Message", "Mode", "NoGateway", "OverBudget", "Priority",
    "Ranking", "RankingStream", "RequestFailed", "Role", "RuleError", "Stage", "Status", "Stream", "Tensor", "Timing",
    "UnknownItem", "UnknownUser", "decode", "encode", "message",
]
