"""What a day is like and what goes wrong on it. `days` draws a plan from its seed: a cluster
(`climate`), scenes that bring a moment about (`openings`, `unanswered`) and what strikes in it
(`strikes`), all as data (`troubles`, `moments`). `striking` waits for the time, finds the victims
(`casting`) and deals the `blows`; `prospects` knows what a cluster need not survive, `shrink` makes
a plan smaller."""
