"""`edgeproxy` with short patience for processes that hang: a program that tests run."""

from edgeproxy.cli import main
from edgeproxy.runtime import rollout, watching

if __name__ == "__main__":
    rollout.PREPARE_SECONDS = 2.0
    watching.LOOK_SECONDS = 0.1
    watching.SILENCE_SECONDS = 3.0
    main()
