"""fltui beside other systems for federated learning: the same job on each, in one invocation, as ratios.

python -m benchmarks.peers [--json] [--peers NAMES] [--sizes SIZES] [--repeats N] [--environments FOLDER]

Every peer is installed from the configured package index into a virtual environment of its own. Its driver and what
its sites run are plain scripts in `scripts`, run by that environment's Python; nothing here imports a peer.
"""
