"""How live data comes in and predictions go out: sources, sinks and codecs.

Whoever writes an adapter needs this package and ``streamgru.errors``, and nothing else of streamgru.
``contract`` has the two classes to derive from, ``options`` how to declare options, ``queues`` the
bridges to libraries that call back or block, ``testing`` the kit that every adapter must pass.
"""

from streamgru.adapters.contract import Adapter, Batch, Item, Outcome, Sink, Source, Token
from streamgru.adapters.options import Options, option
from streamgru.adapters.queues import Inbox, OneThread, Pump

__all__ = [
    "Adapter",
    "Batch",
    "Inbox",
    "Item",
    "OneThread",
    "Options",
    "Outcome",
    "Pump",
    "Sink",
    "Source",
    "Token",
    "option",
]
