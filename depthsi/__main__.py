"""`python -m depthsi` is `depthsi`."""

import os
import sys

# Python puts the working directory first in its search path. That may be a stranger's data, from
# which an optional package that is not installed, such as cv2, would be imported.
if sys.path[:1] == [os.getcwd()] != [os.path.dirname(os.path.dirname(__file__))]:
    del sys.path[0]

from depthsi.cli import main

main()
