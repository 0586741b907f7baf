"""Which site serves terminals, as seen from three places, and what is done when it serves nobody.

Each coordinator asks every node a real question (`probe`), remembers what it saw (`sight`), and
reports it in etcd; it hears the other places' reports (`reports`) and judges on all of them
(`judgement`). None is in charge: whoever sees a majority of places agree sends the guarded switch
(`coordinator.switching`), and the guard lets one win. `lookout` does the doing.
"""
