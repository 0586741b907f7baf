"""`kessai compare`: the same drills on a system and on the one that replaces it.

`plan` says what is played, `playing` plays it, `table` shows it on a terminal; the page and the
JSON are those of `loadtest.report`. Nothing here judges.
"""
