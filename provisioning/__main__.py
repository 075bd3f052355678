"""`python -m provisioning` is `onebox`."""

from provisioning.cli import main

main()
