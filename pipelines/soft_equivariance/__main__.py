import sys

from shared.workflow.cli import main

sys.exit(main(paper="soft_equivariance"))
