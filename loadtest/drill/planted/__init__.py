"""The drills' own test: nodes built with one fault each, which the drills must convict.

A judge that convicts nobody proves nothing. Each fault is put from outside into the very same
program that serves payments (`node`); the product knows nothing of them. `catalogue` lists them,
`trial` plays them, `matrix` says what came of it.
"""
