"""The wire: three services, their messages, and the stubs generated from them at install.

`settlement.proto` is what terminals speak, `replication.proto` what replicas speak among
themselves, `control.proto` what operators speak. The `*_pb2*` modules beside this file are made
by `proto/build_hook.py` when the project is installed and are never committed.
"""
