"""A cluster on a network of its own: every host a network namespace, every site two switches.

      a1   a2   a3   e1   ca           each of them wired to both switches, and to the room
       |\\  //|\\  //|\\  //|\\  /|
      [sa1] ------------- [sa2]        two switches, a cable between them
          `------. .------'
                [ra]------ ra-rb ------[rb]       the sites' routers; site b is as site a
                 | `- ra-rw -[rw]- rb-rw -' |     [rw]: the witness, with e3 and cw
                 `--- ra-rt -[rt]- rb-rt ---'     [rt]: the terminals' side, with `terminals`

The topology decides what there is: a router for each place, a link between any two of them, one
from each site to the terminals' router, and in each site one switch or two. Addresses are from
198.18.0.0/15 only. Routes are fixed: nothing passes through the witness, the terminals' side or the
room, so a cut between the sites really separates them. A host prefers its first switch, and takes
the second one as soon as its cable to the first is down; what a switch cannot hand to a host
itself, it hands to the other switch. Besides its own address, a site's host has one for each
switch, to which nothing finds a way but over the switches of that number: two connections to one
host can tell which switch is well.

The room is where whoever made the network stands: its links are the management's, one to each
host, on which all of them can be reached whatever fails between them. It forwards nothing.

enter        makes the private ground (user, process, mount and network namespaces) and goes there
plan, ways   which hosts, links and routes a topology needs
network      builds them, says how a program gets to its host; every fault is a method, and so is
             its opposite
harm         what is wrong, as data; wires lays the cables and does the harm; delays, waiting: links
             that are slow
namespaces   one host's namespace; netlink, rtnetlink, nftables: what is said to the kernel;
             syscalls the rest of it

Nothing here has a name outside of the processes that use it: no file in /run/netns, no mount, no
interface on the machine. All of it ends with the process that entered, however that one ends.
"""
