"""A server with a scripted model, run the way `auricle serve` runs one; told by JSON on its command line."""

import json
import logging
import sys
from typing import Any

from serving import ScriptedService

from auricle.serve.run import listen, serve
from auricle.serve.settings import ServeSettings


def main() -> None:
    told: dict[str, Any] = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = ServeSettings(**told.pop("settings"))
    unpickled: list[str] = []

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event == "pickle.find_class":
            unpickled.append(".".join(map(str, arguments)))

    service = ScriptedService(**told)
    sys.addaudithook(watch)
    with listen(settings) as sock:
        has_finished = serve(service, settings, sock)
    print(f"unpickled {unpickled}; closed {service.closed}; finished {has_finished}", file=sys.stderr, flush=True)
    sys.exit(0 if has_finished else 1)


if __name__ == "__main__":
    main()
