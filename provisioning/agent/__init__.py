"""The agent, which runs on the host: Python's standard library only, Python 3.9 and later.

The package travels as one archive over each connection (`provisioning.ssh.archive`), and both sides import
its messages, exit codes and frames, so that there is one declaration of each.
"""
