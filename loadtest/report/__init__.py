"""The report of drills: what their evidence says, as one page that opens anywhere and as JSON.

`dossier` reads a folder; `build` makes the model of it, with `course`, `recovery` and `seconds`;
`compare` puts drills beside each other; `page` and `drawing` show the model. Nothing here judges:
the verdict is the one that was sealed.
"""
