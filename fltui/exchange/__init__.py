"""The exchange folder, protocol version 1: layout, manifests, arrays, publishing, collecting and watching.

``docs/protocol.md`` describes the protocol for writers of clients in other languages.
"""
