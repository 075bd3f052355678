"""`python -m provisioning` is `onebox`."""

import gc

# Loading modules makes many objects and hardly any garbage: it is looked for less often than usual.
gc.set_threshold(100_000, 20, 20)

from provisioning.cli import main  # noqa: E402

main()
