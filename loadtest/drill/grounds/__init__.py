"""Where drills are played: on loopback, or with a network namespace for each host.

Players see the same few things either way (`Ground`): the topology with its addresses, how a
program is put on its host, and the network equipment that can be harmed. A drill says what it
needs (`Drill.needs`), a ground what it offers; both are held against each other before anything
starts.

ports        what a ground is
loopback     all programs side by side; processes can be hurt, the network cannot
namespaces   each host with a network of its own
choice       the ground that a drill asks for: the way there, and a place to stand. A further kind
             of ground is one module that implements `Ground`, and one line there
"""

from loadtest.drill.grounds.choice import go_to, ground_of, terminals_command
from loadtest.drill.grounds.loopback import Loopback
from loadtest.drill.grounds.namespaces import Namespaces
from loadtest.drill.grounds.ports import CannotBeDone, Ground

__all__ = [
    "CannotBeDone",
    "Ground",
    "Loopback",
    "Namespaces",
    "go_to",
    "ground_of",
    "terminals_command",
]
