"""The peers' files import what may not be installed, and hold no examples."""

collect_ignore_glob = ["with_*.py"]
