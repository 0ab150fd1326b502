"""Events of messages: text that arrives piece by piece, and other things that happen to a message after it was sent.

    command    what a back-end may append, and the rules for it
    keys       the event keys of one message: a state machine, plain code
    sessions   those messages whose event keys are in memory
    service    appending and reading, over the store and the push
    calls      the same for programs
    summary    what message records show of it

A delta is in memory only; whatever else is appended is stored before anybody is told of it.
"""

from .calls import Events as Events
from .command import EventCommand as EventCommand
from .service import NO_CHANNEL as NO_CHANNEL
from .service import MessageEvents as MessageEvents
from .service import SyncedEvents as SyncedEvents
from .service import may_have_events as may_have_events
from .summary import SummaryMode as SummaryMode
