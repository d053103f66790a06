import sys

from shared.cli import main

sys.exit(main(paper=__package__.rpartition(".")[2]))
