"""`python -m gltp rank --gateway tcp://127.0.0.1:5570 --user 42`"""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Sequence

from .client import Client, Ranking
from .errors import GLTPError
from .session import printable


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--gateway", action="append", required=True, metavar="ENDPOINT",
                        help="may be repeated: the next are tried when one fails")
    shared.add_argument("--server-key", metavar="Z85", help="the gateways' public CURVE key")
    shared.add_argument("--key-file", type=Path, metavar="FILE", help="this client's keys: public and secret, one a line")
    shared.add_argument("--insecure", action="store_true", help="allow gateways off loopback without CURVE")
    shared.add_argument("--deadline", type=float, default=10.0, metavar="SECONDS")
    parser = argparse.ArgumentParser(prog="gltp", description="A client of GLTA gateways.")
    commands = parser.add_subparsers(dest="command", required=True)
    rank = commands.add_parser("rank", parents=[shared], help="print a ranking: place, score, item, title")
    rank.add_argument("--user")
    rank.add_argument("--items", nargs="+", metavar="ITEM", help="what is known of an unseen user")
    rank.add_argument("--top", type=int, default=10)
    rank.add_argument("--mode", default="slots", choices=["slots", "first", "autoregressive"])
    rank.add_argument("--retrieve", type=int, metavar="N", help="candidates to take by prior")
    for name in ("candidates", "exclude", "allow"):
        rank.add_argument(f"--{name}", nargs="+", metavar="ITEM")
    rank.add_argument("--stream", action="store_true", help="print every snapshot")
    rank.add_argument("--json", action="store_true", help="one JSON object for each ranking")
    commands.add_parser("status", parents=[shared], help="print a gateway's report as JSON")
    return parser


def _print(ranking: Ranking, as_json: bool) -> None:
    status = getattr(ranking.status, "name", None)
    if as_json:
        print(json.dumps({"status": status, "provisional": ranking.provisional, "incomplete": ranking.incomplete,
                          "items_seen": ranking.items_seen, "items_total": ranking.items_total, "items": ranking.items,
                          "scores": ranking.scores, "titles": ranking.titles}, ensure_ascii=False), flush=True)
        return
    if not ranking.final:
        kind = "provisional" if ranking.provisional else "incomplete"
        print(f"# {status or 'snapshot'}, {kind}, {ranking.items_seen} of {ranking.items_total} candidates", flush=True)
    titles = ranking.titles or [""] * len(ranking.items)
    for place, (item, score, title) in enumerate(zip(ranking.items, ranking.scores, titles), 1):
        print(f"{place}\t{score:.6g}\t{printable(item)}\t{printable(title)}".rstrip(), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        public = secret = None
        if options.key_file:
            public, secret = options.key_file.read_text().split()
        with Client(options.gateway, server_key=options.server_key, public_key=public, secret_key=secret,
                    insecure=options.insecure) as client:
            if options.command == "status":
                print(json.dumps(client.status(options.deadline), indent=1, ensure_ascii=False))
                return 0
            query = {name: getattr(options, name) for name in (
                "user", "items", "top", "mode", "retrieve", "candidates", "exclude", "allow", "deadline")}
            for ranking in client.rank(**query, stream=True) if options.stream else [client.rank(**query)]:
                _print(ranking, options.json)
        return 0
    except (GLTPError, OSError, ValueError) as error:
        print(f"gltp: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
