"""`python -m depthsi` is `depthsi`."""

from depthsi.cli import main

main()
