import sys

from shared.workflow.cli import main

sys.exit(main(paper=__package__.rpartition(".")[2]))
