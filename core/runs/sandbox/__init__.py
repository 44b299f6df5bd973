"""What training code is kept in. Three tiers, probed by really starting something in them:

    A  bubblewrap: no network, own processes, only the assigned devices, a read-only system, no held-out data
    B  Landlock, no_new_privs and seccomp, where bubblewrap cannot start: the same files, but their names stay visible
    C  none

`Sandbox.wrap` turns a child that the runner starts into the same child inside. Everywhere, C included, it gets the
environment that was made for it and no other, caches of its own, and its one device under the name `cuda:0`.
"""

from core.runs.sandbox.probe import probe
from core.runs.sandbox.wrapping import Sandbox, Tier

__all__ = ["Sandbox", "Tier", "probe"]
