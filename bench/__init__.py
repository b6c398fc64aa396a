"""How fast the platform is, measured against its limits and its peers on this machine: ``python -m bench``."""
