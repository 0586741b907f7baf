"""A cluster on a network of its own: every host a network namespace, every site a router.

      a1 a2 a3 e1 ca                 b1 b2 b3 e2 cb
        \\  \\ | /  /                   \\  \\ | /  /
         [  ra  ]-------- ra-rb -------[  rb  ]
          |   \\  \\                    /  /   |
          |    \\  `-- ra-rw -[rw]- rb-rw     |        [rw]: the witness, with e3 and cw
          |     \\                   /        |
          |      `-- ra-rt -[rt]- rb-rt      |        [rt]: the terminals' side, with `terminals`
          |                                  |
           `---- room-ra -[room]- room-rb --'         [room]: also room-rw and room-rt

The topology decides what there is: a router for each place, a link between any two of them, and
one from each site to the terminals' router. Addresses are from 198.18.0.0/15 only. Routes are
fixed and lead over one link each: nothing passes through the witness, the terminals' side or the
room, so a cut between the sites really separates them.

The room is where whoever made the network stands: its links are the management's, on which every
host can be reached whatever is cut between the places. It forwards nothing.

enter        makes the private ground (user, process, mount and network namespaces) and goes there
plan         which hosts, links and routes a topology needs
network      builds them, cuts links and restores them, says how a program gets to its host
namespaces   one host's namespace; rtnetlink what is said to the kernel; syscalls the rest of it

Nothing here has a name outside of the processes that use it: no file in /run/netns, no mount, no
interface on the machine. All of it ends with the process that entered, however that one ends.
"""
