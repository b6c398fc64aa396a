"""Covey on one machine: real PostgreSQL, real Kafka, a mail catcher, and every service as its own process."""
